import type { NixBuildAttempt, NixBuildNode } from '../../kube/resources/nixbuild.ts'
import { time } from '../../kube/resources/time.ts'
import { type BuildView, isFinished } from '../views/nixbuild.ts'
import type { NodeChoice } from './choose-node.ts'

/** As the CRD bounds the list. */
export const MAX_ATTEMPTS = 20

/** How often it is written why no node can build something, in milliseconds: each change of a node may change the reason. */
const HELD_AGAIN_MS = 60_000

export interface BuildLimits {
  /** How long a build for pods goes on when no living pod waits for it. */
  readonly unwantedGraceMs: number
  /** How long a node must be lost before what it builds is given to another, and it is struck off the list of nodes that have the image. */
  readonly lostGraceMs: number
  /** How many nodes may lose a build before it is given up. */
  readonly maxTries: number
}

/** What only time tells; kept from one plan to the next. */
export interface BuildMemory {
  readonly unwantedSince?: number | undefined
  readonly lostSince?: number | undefined
  /** When it was written that no node can build it. */
  readonly heldAt?: number | undefined
}

export interface BuildFacts {
  readonly build: BuildView
  /** How many living pods want it: one that has started may pull it again. */
  readonly wantingPods: number
  /** How many of them have not started. */
  readonly waitingPods: number
  /** How many of them are on nodes that can build: their kubelets ask for it. */
  readonly pullingPods: number
  /** The node that it is given to by label: undefined when there is no label, its value when there is no such node. */
  readonly assignedNode: string | undefined
  /** Why a node cannot finish a build; undefined when it can. */
  readonly lossOf: (node: string) => string | undefined
  /** The same, if the node's shim is to blame: one that lives goes on, whatever the node's kubelet does. */
  readonly silenceOf: (node: string) => string | undefined
  /** Whether a living pod there wants it. */
  readonly isPulledOn: (node: string) => boolean
  readonly nodeExists: (node: string) => boolean
  readonly chooseNode: () => NodeChoice
  readonly memory: BuildMemory
  readonly limits: BuildLimits
  readonly now: number
}

export type BuildAction =
  | { readonly type: 'none' }
  /** Nobody wants it, or nobody should have made it. */
  | { readonly type: 'delete' }
  | { readonly type: 'fail'; readonly message: string; readonly attempts: readonly NixBuildAttempt[] }
  | { readonly type: 'give'; readonly node: string; readonly attempts: readonly NixBuildAttempt[] }
  /** Not given to any node, with the reason for a person. */
  | {
      readonly type: 'hold'
      readonly reason: 'NoNode' | 'NodeLost'
      readonly message: string
      readonly attempts: readonly NixBuildAttempt[]
    }
  /** The nodes that still have the image. */
  | { readonly type: 'prune'; readonly nodes: readonly NixBuildNode[] }

export interface BuildPlan {
  readonly action: BuildAction
  readonly memory: BuildMemory
  /** When to look again, if nothing happens before. */
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

/** An image is not on a node that is gone. */
function planPrune(facts: BuildFacts): BuildPlan {
  const left = facts.build.nodes.filter(({ name }) => facts.nodeExists(name))
  if (left.length === facts.build.nodes.length) return NOTHING
  return afterGrace(facts, 'lostSince', facts.limits.lostGraceMs, () => ({ type: 'prune', nodes: left }))
}

function planUnwanted(facts: BuildFacts): BuildPlan {
  const { build, wantingPods, waitingPods, limits } = facts
  // What has begun was asked for, maybe by a pod that had started before.
  const pods = build.buildNode === undefined ? waitingPods : wantingPods
  if (!build.managed || pods > 0) return NOTHING
  return afterGrace(facts, 'unwantedSince', limits.unwantedGraceMs, () => ({ type: 'delete' }))
}

function planProgress(facts: BuildFacts): BuildPlan {
  const { build, assignedNode, limits } = facts
  const node = build.buildNode ?? assignedNode
  if (node === undefined) return build.managed ? NOTHING : sparingly(facts, give(facts, build.attempts))
  const loss = lossOf(node, facts)
  if (loss === undefined) return NOTHING
  return afterGrace(facts, 'lostSince', limits.lostGraceMs, () => moveOn(facts, { node, loss }))
}

/** What a living shim builds for pods it would only claim again. */
function lossOf(node: string, { build, lossOf, silenceOf, isPulledOn }: BuildFacts): string | undefined {
  return build.managed || (build.buildNode === node && isPulledOn(node)) ? silenceOf(node) : lossOf(node)
}

function moveOn(facts: BuildFacts, { node, loss }: { node: string; loss: string }): BuildAction {
  const { build, limits, now } = facts
  // Written down already, but the label could not be moved.
  const known = build.buildNode === undefined && build.attempts.at(-1)?.node === node
  const attempt = { node, endTime: time(now), reason: loss }
  const attempts = known ? build.attempts : [...build.attempts, attempt].slice(-MAX_ATTEMPTS)
  // The pods' own nodes take it up.
  if (build.managed) return { type: 'hold', reason: 'NodeLost', message: `${loss}; waiting for another`, attempts }
  return attempts.length < limits.maxTries
    ? give(facts, attempts)
    : { type: 'fail', message: givenUp(attempts), attempts }
}

/** To a node of its own, unless a pod is pulling it: then that pod's node builds it. */
function give(facts: BuildFacts, attempts: readonly NixBuildAttempt[]): BuildAction {
  const { build, pullingPods } = facts
  if (pullingPods > 0) {
    const last = attempts.at(-1)
    return attempts === build.attempts || last === undefined
      ? { type: 'none' }
      : { type: 'hold', reason: 'NodeLost', message: `${last.reason}; waiting for another`, attempts }
  }
  const choice = facts.chooseNode()
  if ('node' in choice) return { type: 'give', node: choice.node, attempts }
  return { type: 'hold', reason: 'NoNode', message: `no node can build it: ${choice.none}`, attempts }
}

/** Why no node can build it is written when it is news. */
function sparingly({ build, memory: { heldAt }, now }: BuildFacts, action: BuildAction): BuildPlan {
  if (action.type !== 'hold') return act(action)
  const written = heldFor(build)
  if (written === action.message) return { action: { type: 'none' }, memory: { heldAt } }
  if (written === undefined || heldAt === undefined || now >= heldAt + HELD_AGAIN_MS)
    return { action, memory: { heldAt: now } }
  return { action: { type: 'none' }, memory: { heldAt }, recheckAt: heldAt + HELD_AGAIN_MS }
}

/** Why no node can build it, as it says itself. */
export function heldFor({ phase, conditions }: BuildView): string | undefined {
  const complete = conditions.find(({ type }) => type === 'Complete')
  return phase === 'Pending' && complete?.reason === 'NoNode' ? complete.message : undefined
}

function givenUp(attempts: readonly NixBuildAttempt[]): string {
  const history = attempts.map(({ endTime, reason }) => `${endTime} ${reason}`)
  return `given up after ${attempts.length} ${attempts.length === 1 ? 'try' : 'tries'}: ${history.join('; ')}`
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
