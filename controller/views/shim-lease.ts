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

/** The last renewal of a shim's Lease. */
export interface ShimRenewal {
  readonly renewTime: string
  /** The shim counts as alive until then, by this machine's clock, unless it renews. */
  readonly aliveUntil: number
}

/** `none`: the node has no Lease of a shim. `dead`: the Lease was not renewed in time. */
export type ShimState = 'alive' | 'dead' | 'none'

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

/**
 * An observed renewal counts from the moment of observation, so that clocks need not agree. Only the first renewal
 * relies on the shim's clock, and then for at most the Lease's duration.
 */
export function observeRenewal(
  last: ShimRenewal | undefined,
  { renewTime, durationMs }: ShimLease,
  now: number,
): ShimRenewal {
  if (last?.renewTime === renewTime) return last
  if (last !== undefined) return { renewTime, aliveUntil: now + durationMs }
  const renewed = Date.parse(renewTime)
  return { renewTime, aliveUntil: Number.isNaN(renewed) ? 0 : Math.min(renewed, now) + durationMs }
}

export function shimState(renewal: ShimRenewal | undefined, now: number): ShimState {
  if (renewal === undefined) return 'none'
  return renewal.aliveUntil > now ? 'alive' : 'dead'
}
