import {
  type KeepAnnotations,
  type NodeRules,
  type NodeState,
  type NodeView,
  nodeState,
  sameNodeState,
} from '../views/node.ts'
import { observeRenewal, type ShimLease, type ShimRenewal, shimState } from '../views/shim-lease.ts'

/** The nodes and their shims. */
export interface Nodes {
  has(node: string): boolean
  uidOf(node: string): string | undefined
  systemOf(node: string): string | undefined
  state(node: string): NodeState | undefined
  states(): NodeState[]
  /** Undefined if there is no such Node. */
  keepAnnotations(node: string): KeepAnnotations | undefined
  /** Until when a shim counts as alive if it does not renew. No event reports a missed renewal. */
  aliveUntil(node: string): number | undefined
  nodeChanged(node: string): void
  leaseChanged(node: string, lease: ShimLease | undefined): void
}

export interface NodesOptions extends NodeRules {
  readonly mirrored: (node: string) => NodeView | undefined
  readonly allMirrored: () => Iterable<NodeView>
  /** Whether the NixNode says that the node builds nothing. `nodeChanged` tells of a change. */
  readonly isFetchOnly: (node: string) => boolean
  /** Called when something that matters for decisions has changed. */
  readonly onChange: (node: string, change: { readonly system: boolean }) => void
  readonly now: () => number
}

export function createNodes(options: NodesOptions): Nodes {
  const { mirrored, allMirrored, isFetchOnly, repels, tolerations, onChange, now } = options
  const renewals = new Map<string, ShimRenewal>()
  const lastStates = new Map<string, NodeState>()

  const stateOf = (view: NodeView) =>
    nodeState(view, {
      shim: shimState(renewals.get(view.name), now()),
      fetchOnly: isFetchOnly(view.name),
      repels,
      tolerations,
    })

  function state(node: string): NodeState | undefined {
    const view = mirrored(node)
    return view && stateOf(view)
  }

  function notifyIfChanged(node: string): void {
    const before = lastStates.get(node)
    const after = state(node)
    if (sameNodeState(before, after)) return
    if (after) lastStates.set(node, after)
    else lastStates.delete(node)
    onChange(node, { system: before?.system !== after?.system })
  }

  return {
    has: node => mirrored(node) !== undefined,
    uidOf: node => mirrored(node)?.uid,
    systemOf: node => mirrored(node)?.system,
    state,
    keepAnnotations: node => mirrored(node)?.keep,
    states: () => Array.from(allMirrored(), stateOf),
    aliveUntil: node => renewals.get(node)?.aliveUntil,
    nodeChanged: notifyIfChanged,
    leaseChanged(node, lease) {
      // The Lease may have expired before, which no event reports.
      notifyIfChanged(node)
      if (lease) renewals.set(node, observeRenewal(renewals.get(node), lease, now()))
      else renewals.delete(node)
      notifyIfChanged(node)
    },
  }
}
