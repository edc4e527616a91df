import type { NixBuildAttempt, NixBuildNode } from '../../kube/resources/nixbuild.ts'
import type { NixBuildView } from '../views/nixbuild.ts'

export interface PlanLimits {
  /** How long a build for pods continues when no living pod waits for it. */
  readonly unwantedGraceMs: number
  /**
   * How long a node must be lost before its builds move to another node, and how long its Node must be gone before it is
   * removed from the nodes that have the image.
   */
  readonly lostGraceMs: number
  /** How long a build waits for the nodes of its pods when none of them can build, before another node gets it. */
  readonly builderGraceMs: number
  /** How many nodes may lose a build before it fails. */
  readonly maxAttempts: number
}

/**
 * Times to remember from one plan to the next: when each grace time began, and when the reason why no node can build it
 * was last written to its status.
 */
export type NixBuildMemory = Readonly<Partial<Record<Grace | 'reasonWrittenAt', number>>>

/**
 * No living pod waits for the build, no node of its pods can build it, its node is lost, or a node that has the image is
 * gone.
 */
export type Grace = 'unwanted' | 'stranded' | `lost ${string}` | `gone ${string}`

export interface NixBuildFacts {
  readonly build: NixBuildView
  /** Number of living pods that request the image. Started pods count, as they may pull it again. */
  readonly requestingPods: number
  /** Number of these pods that have not started. */
  readonly waitingPods: number
  /** Number of waiting pods whose kubelets pull the image on nodes that can build. */
  readonly pullingPods: number
  /** Number of waiting pods whose kubelets pull the image on nodes that cannot build, or must not by `--node-repel`. */
  readonly strandedPods: number
  /** Node that the label assigns it to. Undefined without the label; the label's value if there is no such node. */
  readonly assignedNode: string | undefined
  /** Why a node cannot finish a build; undefined if it can. */
  readonly problemOfNode: (node: string) => string | undefined
  /**
   * Like `problemOfNode`, but only for problems of the shim: a living shim continues, whatever state its kubelet is in.
   */
  readonly problemOfShim: (node: string) => string | undefined
  /** Whether a living pod on the node requests it. */
  readonly isRequestedOn: (node: string) => boolean
  readonly nodeExists: (node: string) => boolean
  readonly chooseNode: () => NodeChoice
  readonly memory: NixBuildMemory
  readonly limits: PlanLimits
  readonly now: number
}

export type NodeChoice =
  | { readonly node: string }
  /** Why no node can build it, for people. */
  | { readonly none: string }

export type NixBuildAction =
  | { readonly type: 'none' }
  /** It is not needed any more, or forged. */
  | { readonly type: 'delete' }
  | { readonly type: 'fail'; readonly message: string; readonly attempts: readonly NixBuildAttempt[] }
  | { readonly type: 'assign'; readonly node: string; readonly attempts: readonly NixBuildAttempt[] }
  /** No node has it: the status becomes Pending, with the reason. */
  | {
      readonly type: 'leavePending'
      readonly reason: 'NoNode' | 'NodeLost'
      readonly message: string
      readonly attempts: readonly NixBuildAttempt[]
    }
  /** `nodes` are the nodes that still have the image. */
  | { readonly type: 'removeGoneNodes'; readonly nodes: readonly NixBuildNode[] }

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
