import type { NodeView } from '../views/node.ts'
import type { ShimLease } from '../views/shim-lease.ts'

/** The last renewal of a shim's Lease. */
export interface ShimRenewal {
  readonly renewTime: string
  /** The shim counts as alive until then, by this machine's clock, unless it renews. */
  readonly aliveUntil: number
}

/** Everything that decides whether a node may build. */
export interface NodeState {
  readonly name: string
  readonly system: string | undefined
  readonly ready: boolean
  readonly schedulable: boolean
  /** Matched by `--node-repel`. */
  readonly repelled: boolean
  readonly shim: ShimState
}

/** `none`: the node has no Lease of a shim. `dead`: the Lease was not renewed in time. */
export type ShimState = 'alive' | 'dead' | 'none'

/** Why a node cannot finish its builds; undefined if it can. A cordoned or repelled node may finish. */
export function nodeProblem(name: string, state: NodeState | undefined): string | undefined {
  return state?.ready === false ? `node ${name} is not ready` : shimProblem(name, state)
}

/** Why no shim can be working on the node; undefined if one can. */
export function shimProblem(name: string, state: NodeState | undefined): string | undefined {
  if (state === undefined) return `node ${name} is gone`
  if (state.shim === 'none') return `no shim runs on node ${name}`
  return state.shim === 'dead' ? `the shim of node ${name} does not renew its Lease` : undefined
}

/** Whether both lead to the same decisions. */
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
  { shim, repels }: { readonly shim: ShimState; readonly repels: (labels: NodeView['labels']) => boolean },
): NodeState {
  return { name, system, ready, schedulable, repelled: repels(labels), shim }
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
