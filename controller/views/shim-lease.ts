import { type Lease, MAX_SHIM_LEASE_MS } from '../../kube/resources/lease.ts'
import { shimLeaseName } from '../../kube/resources/names.ts'

/** How a shim tells that it lives. */
export interface ShimLease {
  /** Of the node. */
  readonly node: string
  /** RFC 3339, by the node's clock; empty when it was never renewed. */
  readonly renewTime: string
  /** At most MAX_SHIM_LEASE_MS, whatever the Lease says. */
  readonly durationMs: number
}

const PREFIX = shimLeaseName('')

/** undefined for the Lease of something else. */
export function shimLeaseOf({ metadata, spec }: Lease): ShimLease | undefined {
  if (!metadata.name.startsWith(PREFIX)) return undefined
  return {
    node: metadata.name.slice(PREFIX.length),
    renewTime: spec.renewTime ?? '',
    durationMs: Math.min((spec.leaseDurationSeconds ?? 0) * 1000, MAX_SHIM_LEASE_MS),
  }
}
