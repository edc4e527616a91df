import type { Calls } from '../../../lib/grpc/client.ts'
import { connectContainerd } from '../../containerd/connect.ts'
import { toContainerdFailure } from '../../containerd/services/failure.ts'
import { createLease, deleteLease, findLeases, type Lease } from '../../containerd/services/leases.ts'
import type { ImportJob } from './messages.ts'

/** An import that takes longer is cancelled. */
export const IMPORT_LIMIT_MS = 60 * 60_000
/** containerd collects what a killed import has left behind after this time at the latest. */
const LEASE_LIFETIME_MS = IMPORT_LIMIT_MS + 5 * 60_000

const IMPORTER_LABEL = 'enbi.hrzn.ee/importer'
const PROCESS_LABEL = 'enbi.hrzn.ee/process'

type LeaseOwner = Pick<ImportJob, 'lease' | 'importer' | 'process'>

export interface LeaseTerms {
  readonly lifetimeMs?: number
  /** Called once the lease is gone. It is not called if containerd is away: then the caller must end the lease later. */
  readonly onEnded?: () => void
  /** How long containerd may take to end the lease. The pull waits for this too. */
  readonly releaseMs?: number
}

/** If containerd must collect much, it takes this long. */
const RELEASE_LIMIT_MS = 30_000

/** Runs `use` with a lease, and tries to end it before returning; after a failure, what it held is collected. */
export async function underLease<T>(
  calls: Calls,
  owner: LeaseOwner,
  use: (lease: Lease) => Promise<T>,
  { lifetimeMs = LEASE_LIFETIME_MS, onEnded = () => {}, releaseMs = RELEASE_LIMIT_MS }: LeaseTerms = {},
): Promise<T> {
  const labels = { [IMPORTER_LABEL]: owner.importer, [PROCESS_LABEL]: owner.process }
  const lease = await createLease(calls, { id: owner.lease, lifetimeMs, labels })
  try {
    const result = await use(lease)
    if (await release(calls, lease, { collect: false, timeoutMs: releaseMs })) onEnded()
    return result
  } catch (error) {
    // A containerd that is away cannot end it.
    const isAway = toContainerdFailure(error).code === 'ContainerdAway'
    if (!isAway && (await release(calls, lease, { collect: true, timeoutMs: releaseMs }))) onEnded()
    throw error
  }
}

/** Ignores the import's signal. Returns whether it worked instead of throwing: the import's own outcome counts. */
async function release(calls: Calls, { id }: Lease, options: Parameters<typeof deleteLease>[2]): Promise<boolean> {
  return deleteLease(calls.within({ signal: undefined }), id, options).then(
    () => true,
    () => false,
  )
}

/** Ends leases of earlier processes of this importer, which were killed. */
export async function endDeadLeases(calls: Calls, { importer, process }: ImportJob): Promise<void> {
  const filter = `labels."${IMPORTER_LABEL}"==${importer},labels."${PROCESS_LABEL}"!=${process}`
  for (const id of await findLeases(calls, filter)) await deleteLease(calls, id, { collect: false })
}

/** Throws unless the lease is gone. */
export async function endLease(containerd: ImportJob['containerd'], id: string): Promise<void> {
  using client = connectContainerd(containerd)
  await deleteLease(client, id, { collect: false })
}
