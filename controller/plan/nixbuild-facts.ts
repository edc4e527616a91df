import type { NixBuildAttempt } from '../../kube/resources/nixbuild.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import type { NodeEntry } from '../views/nixnode.ts'
import type { NodeState } from '../views/node.ts'

export interface PlanLimits {
  /** How long a build for pods continues when no living pod waits for it. */
  readonly unwantedGraceMs: number
  /** How long a node must be lost before its builds move to another node. */
  readonly lostGraceMs: number
  /** How long a build waits for the nodes of its pods when none of them can build, before another node gets it. */
  readonly builderGraceMs: number
  /** How many nodes may lose a build before it fails. */
  readonly maxAttempts: number
  /** How many NixBuilds of one namespace are assigned to nodes at the same time. */
  readonly maxAssigned: number
}

/**
 * Times to remember from one plan to the next: when each grace time began, when the reason why no node can build it was
 * last written to its status, and since when the status has been outdated.
 */
export type NixBuildMemory = Readonly<Partial<Record<Grace | 'reasonWrittenAt' | 'outdatedSince', number>>>

/** No living pod waits for the build, no node of its pods can build it, or its node is lost. */
export type Grace = 'unwanted' | 'stranded' | `lost ${string}`

/** The nodes that a NixBuild selects to get its image ahead of pods. */
export interface Selection {
  readonly nodes: ReadonlyMap<string, NodeState>
  /** Whether one of them builds, now or when it is ready again. */
  readonly canBuild: boolean
}

export interface NixBuildFacts {
  readonly build: NixBuildView
  /** When this process first planned it, in milliseconds since 1970. */
  readonly seenAt: number
  /** What the nodes say about the recipe, by node. */
  readonly entries: ReadonlyMap<string, NodeEntry>
  /** Whether a pod of the node requests the recipe. */
  readonly isRequestedOn: (node: string) => boolean
  /** When the first of these pods was created that has not started, in milliseconds since 1970; infinite without one. */
  readonly waitingSince: (node: string) => number
  /** Whether the node says anything about its builds. Those with older shims do not. */
  readonly isHeard: (node: string) => boolean
  /** Whether a living pod requests the image. Started pods count, as they may pull it again. */
  readonly isRequested: boolean
  /** Whether one of these pods has not started. */
  readonly isWaitedFor: boolean
  /** Whether the kubelet of one of them pulls the image on a node that can build. */
  readonly isPulled: boolean
  /** Whether the kubelet of one pulls the image on a node that cannot build, or must not. */
  readonly isStranded: boolean
  /** Whether the shim of one of these nodes lives and only waits for another node: it builds nothing. */
  readonly isFetched: boolean
  /** Undefined if it selects no nodes, which is not the same as nodes that do not exist. */
  readonly selection: Selection | undefined
  /** Node that it is assigned to. */
  readonly assignedNode: string | undefined
  /** Number of NixBuilds of the namespace that are assigned to nodes. */
  readonly assignedInNamespace: number
  /** Why a node cannot finish a build; undefined if it can. */
  readonly problemOfNode: (node: string) => string | undefined
  /**
   * Like `problemOfNode`, but only for problems of the shim: a living shim continues, whatever state its kubelet is in.
   */
  readonly problemOfShim: (node: string) => string | undefined
  /** Whether the shim of the node builds nothing. For both functions above this is a problem. */
  readonly isFetchOnly: (node: string) => boolean
  readonly chooseNode: () => NodeChoice
  readonly memory: NixBuildMemory
  /** When the status was last written. */
  readonly writtenAt: number | undefined
  readonly limits: PlanLimits
  readonly now: number
}

export type NodeChoice =
  | { readonly node: string }
  /** Why no node can build it, for people. */
  | { readonly none: string }

export type NixBuildAction =
  | { readonly type: 'none' }
  /** It is not needed any more. */
  | { readonly type: 'delete' }
  | (StatusChange & { readonly type: 'fail'; readonly message: string })
  | (StatusChange & { readonly type: 'assign'; readonly node: string })
  /** No node has it: the status becomes Pending, with the reason. */
  | (StatusChange & {
      readonly type: 'leavePending'
      readonly reason: 'NoNode' | 'NodeLost' | 'TooMany'
      readonly message: string
    })
  /** What the nodes say. */
  | { readonly type: 'report'; readonly patch: StatusPatch }

interface StatusChange {
  readonly attempts: readonly NixBuildAttempt[]
  /** The numbers of nodes, if they change with it. */
  readonly groups?: StatusPatch | undefined
}

/** A change of the status as a JSON merge patch: null removes a field. */
export type StatusPatch = Readonly<Record<string, unknown>>

export interface NixBuildPlan {
  readonly action: NixBuildAction
  readonly memory: NixBuildMemory
  /** When to reconcile again if nothing changes earlier. */
  readonly recheckAt?: number | undefined
}

export const NOTHING: NixBuildPlan = { action: { type: 'none' }, memory: {} }

export function act(action: NixBuildAction): NixBuildPlan {
  return { action, memory: {} }
}

/** Acts once the reason for it has lasted for the grace time. */
export function afterGrace(
  { memory, now }: NixBuildFacts,
  grace: Grace,
  graceMs: number,
  action: () => NixBuildAction,
): NixBuildPlan {
  const begun = memory[grace] ?? now
  return now >= begun + graceMs
    ? act(action())
    : { action: { type: 'none' }, memory: { [grace]: begun }, recheckAt: begun + graceMs }
}
