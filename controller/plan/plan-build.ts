import { NIXBUILD_LIMITS, type NixBuildAttempt, type NixBuildNode } from '../../kube/resources/nixbuild.ts'
import { time } from '../../kube/resources/time.ts'
import { isFinished, type NixBuildView } from '../views/nixbuild.ts'
import type { NodeChoice } from './choose-node.ts'

/**
 * Shortest time between two writes of why no node can build, in milliseconds. Any change of a node may change the
 * reason.
 */
const HOLD_WRITE_MS = 60_000

export interface BuildLimits {
  /** How long a build for pods continues when no living pod waits for it. */
  readonly unwantedGraceMs: number
  /**
   * How long a node must be lost before its builds move to another node, and before it is removed from the nodes that
   * have the image.
   */
  readonly lostGraceMs: number
  /** How many nodes may lose a build before it fails. */
  readonly maxAttempts: number
}

/** Times to remember from one plan to the next. */
export interface BuildMemory {
  readonly unwantedSince?: number | undefined
  readonly lostSince?: number | undefined
  /** When the status last said that no node can build it. */
  readonly heldAt?: number | undefined
}

export interface BuildFacts {
  readonly build: NixBuildView
  /** Number of living pods that request the image. Started pods count, as they may pull it again. */
  readonly requestingPods: number
  /** Number of these pods that have not started. */
  readonly waitingPods: number
  /** Number of these pods on nodes that can build: their kubelets pull the image. */
  readonly pullingPods: number
  /** Node that the label assigns it to. Undefined without the label; the label's value if there is no such node. */
  readonly assignedNode: string | undefined
  /** Why a node cannot finish a build; undefined if it can. */
  readonly nodeProblem: (node: string) => string | undefined
  /**
   * Like `nodeProblem`, but only for problems of the shim: a living shim continues, whatever state its kubelet is in.
   */
  readonly shimProblem: (node: string) => string | undefined
  /** Whether a living pod on the node requests it. */
  readonly isPulledOn: (node: string) => boolean
  readonly nodeExists: (node: string) => boolean
  readonly chooseNode: () => NodeChoice
  readonly memory: BuildMemory
  readonly limits: BuildLimits
  readonly now: number
}

export type BuildAction =
  | { readonly type: 'none' }
  /** It is not needed any more, or forged. */
  | { readonly type: 'delete' }
  | { readonly type: 'fail'; readonly message: string; readonly attempts: readonly NixBuildAttempt[] }
  | { readonly type: 'assign'; readonly node: string; readonly attempts: readonly NixBuildAttempt[] }
  /** Stays unassigned, for the reason in the message. */
  | {
      readonly type: 'hold'
      readonly reason: 'NoNode' | 'NodeLost'
      readonly message: string
      readonly attempts: readonly NixBuildAttempt[]
    }
  /** Replaces the list of nodes that have the image. */
  | { readonly type: 'prune'; readonly nodes: readonly NixBuildNode[] }

export interface BuildPlan {
  readonly action: BuildAction
  readonly memory: BuildMemory
  /** When to reconcile again if nothing changes earlier. */
  readonly recheckAt?: number | undefined
}

const NOTHING: BuildPlan = { action: { type: 'none' }, memory: {} }

export function planBuild(facts: BuildFacts): BuildPlan {
  const { build } = facts
  if (build.deleting) return NOTHING
  if (build.forged) return act({ type: 'delete' })
  if (isFinished(build)) return planPrune(facts)
  if ('problem' in build.recipe) return act({ type: 'fail', message: build.recipe.problem, attempts: build.attempts })
  const unwanted = planUnwanted(facts)
  if (unwanted.action.type === 'delete') return unwanted
  return merge(unwanted, planProgress(facts))
}

/** Removes nodes that no longer exist from the nodes that have the image. */
function planPrune(facts: BuildFacts): BuildPlan {
  const left = facts.build.nodes.filter(({ name }) => facts.nodeExists(name))
  if (left.length === facts.build.nodes.length) return NOTHING
  return afterGrace(facts, 'lostSince', facts.limits.lostGraceMs, () => ({ type: 'prune', nodes: left }))
}

function planUnwanted(facts: BuildFacts): BuildPlan {
  const { build, requestingPods, waitingPods, limits } = facts
  // A build that has started may have been requested by a pod that had started before.
  const pods = build.buildNode === undefined ? waitingPods : requestingPods
  if (!build.createdForPods || pods > 0) return NOTHING
  return afterGrace(facts, 'unwantedSince', limits.unwantedGraceMs, () => ({ type: 'delete' }))
}

function planProgress(facts: BuildFacts): BuildPlan {
  const { build, assignedNode, limits } = facts
  const node = build.buildNode ?? assignedNode
  if (node === undefined) return build.createdForPods ? NOTHING : limitHoldWrites(facts, assign(facts, build.attempts))
  const problem = currentProblem(node, facts)
  if (problem === undefined) return NOTHING
  return afterGrace(facts, 'lostSince', limits.lostGraceMs, () => reassign(facts, { node, problem }))
}

/** A living shim would claim a build for pods again. */
function currentProblem(node: string, { build, nodeProblem, shimProblem, isPulledOn }: BuildFacts): string | undefined {
  return build.createdForPods || (build.buildNode === node && isPulledOn(node)) ? shimProblem(node) : nodeProblem(node)
}

function reassign(facts: BuildFacts, { node, problem }: { node: string; problem: string }): BuildAction {
  const { build, limits, now } = facts
  // The attempt was written earlier, but the label could not be changed.
  const known = build.buildNode === undefined && build.attempts.at(-1)?.node === node
  const attempt = { node, endTime: time(now), reason: problem }
  const attempts = known ? build.attempts : [...build.attempts, attempt].slice(-NIXBUILD_LIMITS.attempts)
  // The nodes of the pods take over.
  if (build.createdForPods)
    return { type: 'hold', reason: 'NodeLost', message: `${problem}; waiting for another node`, attempts }
  return attempts.length < limits.maxAttempts
    ? assign(facts, attempts)
    : { type: 'fail', message: failureMessage(attempts), attempts }
}

/** Assigns it to a chosen node, unless a pod pulls it: then the pod's node builds it. */
function assign(facts: BuildFacts, attempts: readonly NixBuildAttempt[]): BuildAction {
  const { build, pullingPods } = facts
  if (pullingPods > 0) {
    const last = attempts.at(-1)
    return attempts === build.attempts || last === undefined
      ? { type: 'none' }
      : { type: 'hold', reason: 'NodeLost', message: `${last.reason}; waiting for another node`, attempts }
  }
  const choice = facts.chooseNode()
  if ('node' in choice) return { type: 'assign', node: choice.node, attempts }
  return { type: 'hold', reason: 'NoNode', message: `no node can build it: ${choice.none}`, attempts }
}

/** Writes a new reason only so often, and an unchanged one never. */
function limitHoldWrites({ build, memory: { heldAt }, now }: BuildFacts, action: BuildAction): BuildPlan {
  if (action.type !== 'hold') return act(action)
  const written = noNodeReason(build)
  if (written === action.message) return { action: { type: 'none' }, memory: { heldAt } }
  if (written === undefined || heldAt === undefined || now >= heldAt + HOLD_WRITE_MS)
    return { action, memory: { heldAt: now } }
  return { action: { type: 'none' }, memory: { heldAt }, recheckAt: heldAt + HOLD_WRITE_MS }
}

/** Why no node can build it, according to its status. */
export function noNodeReason({ phase, conditions }: NixBuildView): string | undefined {
  const complete = conditions.find(({ type }) => type === 'Complete')
  return phase === 'Pending' && complete?.reason === 'NoNode' ? complete.message : undefined
}

function failureMessage(attempts: readonly NixBuildAttempt[]): string {
  const history = attempts.map(({ endTime, reason }) => `${endTime} ${reason}`)
  return `given up after ${attempts.length} ${attempts.length === 1 ? 'attempt' : 'attempts'}: ${history.join('; ')}`
}

function afterGrace(
  { memory, now }: BuildFacts,
  since: keyof BuildMemory,
  graceMs: number,
  action: () => BuildAction,
): BuildPlan {
  const begun = memory[since] ?? now
  return now >= begun + graceMs
    ? act(action())
    : { action: { type: 'none' }, memory: { [since]: begun }, recheckAt: begun + graceMs }
}

function act(action: BuildAction): BuildPlan {
  return { action, memory: {} }
}

function merge(a: BuildPlan, b: BuildPlan): BuildPlan {
  const times = [a.recheckAt, b.recheckAt].filter(time => time !== undefined)
  return {
    action: b.action,
    memory: { ...a.memory, ...b.memory },
    recheckAt: times.length === 0 ? undefined : Math.min(...times),
  }
}
