import { join } from 'node:path'

/** What the names of folders begin with that a mount is put on. */
export function viewFolder(stateDir: string): string {
  return join(stateDir, 'view')
}
