import { nodeLabelValue } from '../../kube/resources/names.ts'
import type { LabelSelector } from '../reconcile/label-selector.ts'
import { type NodeState, nodeState, readSign, type ShimSign, sameNodeState, shimLife } from '../reconcile/node-state.ts'
import type { NodeView } from '../views/node.ts'
import type { ShimLease } from '../views/shim-lease.ts'

/** The nodes and their shims. */
export interface Nodes {
  has(node: string): boolean
  systemOf(node: string): string | undefined
  state(node: string): NodeState | undefined
  states(): NodeState[]
  /** Until when a shim counts as alive unless it is heard of: no event tells of silence. */
  aliveUntil(node: string): number | undefined
  /** By the value of a label. */
  named(labelValue: string): string | undefined
  nodeChanged(node: string): void
  leaseChanged(node: string, lease: ShimLease | undefined): void
}

export interface NodesPlan {
  readonly mirrored: (node: string) => NodeView | undefined
  readonly allMirrored: () => Iterable<NodeView>
  readonly repels: LabelSelector
  /** Told when something that decides is another than before. */
  readonly onChange: (node: string, change: { readonly system: boolean }) => void
  readonly now: () => number
}

export function createNodes({ mirrored, allMirrored, repels, onChange, now }: NodesPlan): Nodes {
  const signs = new Map<string, ShimSign>()
  const told = new Map<string, NodeState>()
  const byLabel = new Map<string, string>()

  const stateOf = (view: NodeView) => nodeState(view, { shim: shimLife(signs.get(view.name), now()), repels })

  function state(node: string): NodeState | undefined {
    const view = mirrored(node)
    return view && stateOf(view)
  }

  function tell(node: string): void {
    const before = told.get(node)
    const after = state(node)
    if (sameNodeState(before, after)) return
    if (after) told.set(node, after)
    else told.delete(node)
    onChange(node, { system: before?.system !== after?.system })
  }

  return {
    has: node => mirrored(node) !== undefined,
    systemOf: node => mirrored(node)?.system,
    state,
    states: () => Array.from(allMirrored(), stateOf),
    aliveUntil: node => signs.get(node)?.aliveUntil,
    named: value => byLabel.get(value),
    nodeChanged(node) {
      if (mirrored(node)) byLabel.set(nodeLabelValue(node), node)
      else byLabel.delete(nodeLabelValue(node))
      tell(node)
    },
    leaseChanged(node, lease) {
      // It may have been silent until now, which no event told.
      tell(node)
      if (lease) signs.set(node, readSign(signs.get(node), lease, now()))
      else signs.delete(node)
      tell(node)
    },
  }
}
