import type { Calls } from '../containerd/calls.ts'
import { toContainerdFailure } from '../containerd/failure.ts'
import { createLease, deleteLease, findLeases, type Lease } from '../containerd/leases.ts'
import type { ImportJob } from './job.ts'

/** Longest time of an import. */
export const IMPORT_LIMIT_MS = 60 * 60_000
/** What is left of an import that was killed goes after this at the latest. */
const LEASE_LIFETIME_MS = IMPORT_LIMIT_MS + 5 * 60_000

const IMPORTER_LABEL = 'enbi.hrzn.ee/importer'
const PROCESS_LABEL = 'enbi.hrzn.ee/process'

type LeaseOwner = Pick<ImportJob, 'lease' | 'importer' | 'process'>

/** Runs `use` with a lease that has ended when this returns; on failure, what it held is gone then too. */
export async function underLease<T>(
  calls: Calls,
  owner: LeaseOwner,
  use: (lease: Lease) => Promise<T>,
  lifetimeMs = LEASE_LIFETIME_MS,
): Promise<T> {
  const labels = { [IMPORTER_LABEL]: owner.importer, [PROCESS_LABEL]: owner.process }
  const lease = await createLease(calls, { id: owner.lease, lifetimeMs, labels })
  try {
    const result = await use(lease)
    await release(calls, lease, { collect: false })
    return result
  } catch (error) {
    // Nobody would hear it: the next import ends the lease.
    if (toContainerdFailure(error).code !== 'ContainerdAway') await release(calls, lease, { collect: true })
    throw error
  }
}

/** Those of failed imports that are left, and those of the same importer's process before this one, which was killed. */
export async function endDeadLeases(calls: Calls, { importer, process, staleLeases }: ImportJob): Promise<void> {
  const filter = `labels."${IMPORTER_LABEL}"==${importer},labels."${PROCESS_LABEL}"!=${process}`
  const dead = [...staleLeases, ...(await findLeases(calls, filter))]
  for (const id of dead) await deleteLease(calls, id, { collect: false })
}

/** Goes on after the import's signal. A lease that cannot be deleted ends by itself, and the import's own outcome counts. */
async function release(calls: Calls, { id }: Lease, options: { collect: boolean }): Promise<void> {
  await deleteLease(calls.within({ signal: undefined }), id, options).catch(() => {})
}
