import type { ClaimLease, ToldFailure } from '../../kube/resources/claim-lease.ts'
import type { Seen } from './leases/lease-view.ts'

export interface DecideInput {
  readonly seen: Seen
  /** What this node would build. */
  readonly drvPath: string
  /** This node. */
  readonly self: string
  /** By the same clock. */
  readonly now: number
  /** Whether this node may build. */
  readonly mayBuild: boolean
  /** Nodes that the path cannot be copied from. */
  readonly unusable: ReadonlySet<string>
  /** Whether this node takes the failure for true, instead of trying by itself. */
  readonly believes: boolean
}

export type Decision =
  | { readonly kind: 'create' }
  /** Claim a Lease that nobody holds, or whose holder is lost. */
  | { readonly kind: 'take'; readonly lease: ClaimLease }
  /** Look again after a change, or after this time. */
  | { readonly kind: 'wait'; readonly node?: string; readonly progress: string; readonly ms?: number }
  /** Build without the Lease: its holder builds something else, which tells nothing about the own build. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'copy'; readonly nodes: readonly string[] }
  | { readonly kind: 'fail'; readonly failure: ToldFailure }

/** What a node does that wants a path. */
export function decide({ seen, drvPath, self, now, mayBuild, unusable, believes }: DecideInput): Decision {
  const { lease, seenAt } = seen
  if (lease === undefined) return mayBuild ? { kind: 'create' } : { kind: 'wait', progress: '' }
  const { holder, progress, nodes, failure } = lease
  // Also while a node builds: it may have failed to copy from them for reasons of its own, or they have got the path since then.
  const peers = nodes.filter(node => node !== self && !unusable.has(node))
  if (peers.length > 0) return { kind: 'copy', nodes: peers }
  const isSame = lease.derivation === drvPath
  if (holder !== '' && (holder !== self || !isSame)) {
    const ms = seenAt + lease.durationMs - now
    if (ms > 0 && mayBuild && !isSame) return { kind: 'alone' }
    if (ms > 0) return { kind: 'wait', node: holder, progress, ms }
    return mayBuild ? { kind: 'take', lease } : { kind: 'wait', node: holder, progress }
  }
  if (holder === '' && isSame && failure && failure.node !== self && believes) return { kind: 'fail', failure }
  // Its own Lease is from an earlier process: claims of this one for the same derivation are known without asking.
  return mayBuild ? { kind: 'take', lease } : { kind: 'wait', progress: '' }
}
