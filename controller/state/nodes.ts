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
  /** Of all nodes. Cheap until one of them changes. */
  states(): readonly NodeState[]
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

const NEVER = Number.POSITIVE_INFINITY

export function createNodes(options: NodesOptions): Nodes {
  const { mirrored, allMirrored, isFetchOnly, repels, tolerations, onChange, now } = options
  const renewals = new Map<string, ShimRenewal>()
  const lastStates = new Map<string, NodeState>()
  /** The result of `states`, until a shim that counts as alive may be dead. */
  let cached: { readonly states: readonly NodeState[]; validUntil: number } | undefined

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
    cached = undefined
    if (after) lastStates.set(node, after)
    else lastStates.delete(node)
    onChange(node, { system: before?.system !== after?.system })
  }

  function states(): readonly NodeState[] {
    if (!cached || now() >= cached.validUntil) cached = readStates()
    return cached.states
  }

  function readStates(): NonNullable<typeof cached> {
    const views = [...allMirrored()]
    const ends = views.flatMap(({ name }) => renewals.get(name)?.aliveUntil ?? []).filter(end => end > now())
    return { states: views.map(stateOf), validUntil: ends.reduce((first, end) => Math.min(first, end), NEVER) }
  }

  function observe(node: string, lease: ShimLease): void {
    const renewal = observeRenewal(renewals.get(node), lease, now())
    renewals.set(node, renewal)
    if (cached) cached.validUntil = Math.min(cached.validUntil, renewal.aliveUntil)
  }

  return {
    has: node => mirrored(node) !== undefined,
    uidOf: node => mirrored(node)?.uid,
    systemOf: node => mirrored(node)?.system,
    state,
    keepAnnotations: node => mirrored(node)?.keep,
    states,
    aliveUntil: node => renewals.get(node)?.aliveUntil,
    nodeChanged: notifyIfChanged,
    leaseChanged(node, lease) {
      // The Lease may have expired before, which no event reports.
      notifyIfChanged(node)
      if (lease) observe(node, lease)
      else renewals.delete(node)
      notifyIfChanged(node)
    },
  }
}
