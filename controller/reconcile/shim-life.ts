import type { ShimLease } from '../views/shim-lease.ts'
import type { ShimLife } from './node-state.ts'

/** What is known of a shim by its Lease. */
export interface ShimSign {
  readonly renewTime: string
  /** Until when it counts as alive, by this machine's clock, unless it is renewed. */
  readonly aliveUntil: number
}

/**
 * A renewal that was seen to happen counts from that moment, so that clocks need not agree. Only for the first sign of a shim
 * its own clock must do; no Lease is believed for longer than it is for.
 */
export function readSign(last: ShimSign | undefined, { renewTime, durationMs }: ShimLease, now: number): ShimSign {
  if (last?.renewTime === renewTime) return last
  if (last !== undefined) return { renewTime, aliveUntil: now + durationMs }
  const renewed = Date.parse(renewTime)
  return { renewTime, aliveUntil: Number.isNaN(renewed) ? 0 : Math.min(renewed, now) + durationMs }
}

export function shimLife(sign: ShimSign | undefined, now: number): ShimLife {
  if (sign === undefined) return 'none'
  return sign.aliveUntil > now ? 'alive' : 'silent'
}
