import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'

/** Where what is known of layers and of outputs is kept. */
export interface MemoryFolders {
  /** Of remembered digests of layers. */
  readonly digests: string
  /** Of remembered plans. */
  readonly plans: string
}

/** Who imports, as its leases say. */
export interface ImporterIdentity {
  /** The same after a restart. */
  readonly importer: string
  /** Another one after each. */
  readonly process: string
}

/** Shims on one node differ by their state folders. */
export function createIdentity(stateDir: string): ImporterIdentity {
  return { importer: createHash('sha256').update(stateDir).digest('hex'), process: randomUUID() }
}

/** What the names of folders begin with that a mount is put on. */
export function viewFolder(stateDir: string): string {
  return join(stateDir, 'view')
}

export function memoryFolders(stateDir: string): MemoryFolders {
  return { digests: join(stateDir, 'digests'), plans: join(stateDir, 'plans') }
}
