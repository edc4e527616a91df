import { type Lease, MAX_SHIM_LEASE_MS } from '../../kube/resources/lease.ts'
import { shimLeaseName } from '../../kube/resources/names.ts'

/** The sign of life of a shim. */
export interface ShimLease {
  /** Name of the node. */
  readonly node: string
  /** RFC 3339, by the node's clock. Empty if it was never renewed. */
  readonly renewTime: string
  /** Limited to MAX_SHIM_LEASE_MS. */
  readonly durationMs: number
}

const PREFIX = shimLeaseName('')

/** Undefined for other Leases. */
export function shimLeaseOf({ metadata, spec }: Lease): ShimLease | undefined {
  if (!metadata.name.startsWith(PREFIX)) return undefined
  return {
    node: metadata.name.slice(PREFIX.length),
    renewTime: spec.renewTime ?? '',
    durationMs: Math.min((spec.leaseDurationSeconds ?? 0) * 1000, MAX_SHIM_LEASE_MS),
  }
}
