import { createHash, randomUUID } from 'node:crypto'

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
