import type { NodeView } from '../views/node.ts'
import type { ShimLease } from '../views/shim-lease.ts'

/** What is known of a shim by its Lease. */
export interface ShimSign {
  readonly renewTime: string
  /** Until when it counts as alive, by this machine's clock, unless it is renewed. */
  readonly aliveUntil: number
}

/** What decides whether a node may build, and goes on building. */
export interface NodeState {
  readonly name: string
  readonly system: string | undefined
  readonly ready: boolean
  readonly schedulable: boolean
  /** Matched by `--node-repel`. */
  readonly repelled: boolean
  readonly shim: ShimLife
}

/** `none`: no shim has a Lease for the node. `silent`: it was not renewed in time. */
export type ShimLife = 'alive' | 'silent' | 'none'

/** Why a node cannot finish what it builds; undefined when it can. A cordoned or repelled node may finish. */
export function lossOf(name: string, state: NodeState | undefined): string | undefined {
  return state?.ready === false ? `node ${name} is not ready` : silenceOf(name, state)
}

/** Why no shim can be at work there; undefined when one can. */
export function silenceOf(name: string, state: NodeState | undefined): string | undefined {
  if (state === undefined) return `node ${name} is gone`
  if (state.shim === 'none') return `no shim runs on node ${name}`
  return state.shim === 'silent' ? `the shim of node ${name} is silent` : undefined
}

/** Whether anything that decides differs. */
export function sameNodeState(a: NodeState | undefined, b: NodeState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.system === b.system &&
    a.ready === b.ready &&
    a.schedulable === b.schedulable &&
    a.repelled === b.repelled &&
    a.shim === b.shim
  )
}

export function nodeState(
  { name, system, ready, schedulable, labels }: NodeView,
  { shim, repels }: { readonly shim: ShimLife; readonly repels: (labels: NodeView['labels']) => boolean },
): NodeState {
  return { name, system, ready, schedulable, repelled: repels(labels), shim }
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
