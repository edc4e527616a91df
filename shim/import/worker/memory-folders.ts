import { join } from 'node:path'

/** Where what is known of layers and of outputs is kept. */
export interface MemoryFolders {
  /** Of remembered digests of layers. */
  readonly digests: string
  /** Of remembered plans. */
  readonly plans: string
}

export function memoryFolders(stateDir: string): MemoryFolders {
  return { digests: join(stateDir, 'digests'), plans: join(stateDir, 'plans') }
}
