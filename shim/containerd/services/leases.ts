import type { CallOptions, Calls } from '../../../lib/grpc/client.ts'
import { unlessMissing } from '../../../lib/grpc/grpc-error.ts'
import { loadService } from '../../../lib/grpc/service.ts'
import type { LeasesDefinition } from '../../../protos/generated/containerd/services/leases/v1/Leases.ts'

const LEASES = loadService<LeasesDefinition>('leases.proto', 'containerd.services.leases.v1.Leases')

/** Keeps containerd from collecting what is written under it, and what is added to it. */
export interface Lease {
  readonly id: string
  /** Calls under the lease. */
  readonly calls: Calls
}

export interface NewLease {
  readonly id: string
  /** The lease expires after this time, in milliseconds, even if the import was killed. */
  readonly lifetimeMs: number
  readonly labels: Readonly<Record<string, string>>
}

export async function createLease(calls: Calls, { id, lifetimeMs, labels }: NewLease): Promise<Lease> {
  const expires = new Date(Date.now() + lifetimeMs).toISOString()
  await calls.unary(LEASES.Create, { id, labels: { ...labels, [EXPIRE_LABEL]: expires } })
  return { id, calls: calls.within({ headers: { 'containerd-lease': id } }) }
}

/** With `collect`, waits until everything that nothing else holds is collected. A missing lease is not an error. */
export async function deleteLease(
  calls: Calls,
  id: string,
  { collect, ...options }: { readonly collect: boolean } & Pick<CallOptions, 'timeoutMs'>,
): Promise<void> {
  await unlessMissing(calls.unary(LEASES.Delete, { id, sync: collect }, options))
}

/** Ids of the leases that a containerd filter matches. */
export async function findLeases(calls: Calls, filter: string): Promise<string[]> {
  const { leases } = await calls.unary(LEASES.List, { filters: [filter] })
  return leases.map(({ id }) => id)
}

/** A blob or a snapshot. */
export type Held = { readonly content: string } | { readonly snapshot: string; readonly snapshotter: string }

/** Adds something that exists to the lease. If it does not exist, nothing happens. */
export async function hold({ id, calls }: Lease, held: Held): Promise<void> {
  const resource =
    'content' in held
      ? { id: held.content, type: 'content' }
      : { id: held.snapshot, type: `snapshots/${held.snapshotter}` }
  await calls.unary(LEASES.AddResource, { id, resource })
}

/** containerd's garbage collector ends a lease at this time (RFC 3339). */
const EXPIRE_LABEL = 'containerd.io/gc.expire'
