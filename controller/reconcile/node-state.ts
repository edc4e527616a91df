import type { NodeView } from '../views/node.ts'

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
