import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'

/** Names the importer in its leases. */
export interface ImporterIdentity {
  /** The same after a restart. */
  readonly importer: string
  /** Another one after each restart. */
  readonly process: string
}

/** Shims on one node differ by their state folders. */
export function createIdentity(stateDir: string): ImporterIdentity {
  return { importer: createHash('sha256').update(stateDir).digest('hex'), process: randomUUID() }
}

export interface ImporterFolders {
  /** The digest cache. */
  readonly digests: string
  /** The image cache. */
  readonly plans: string
  /** Prefix of folders that are made for a mount. */
  readonly view: string
}

export function importerFolders(stateDir: string): ImporterFolders {
  return { digests: join(stateDir, 'digests'), plans: join(stateDir, 'plans'), view: join(stateDir, 'view') }
}
