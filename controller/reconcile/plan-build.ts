import type { NixBuildAttempt, NixBuildNode } from '../../kube/nixbuild.ts'
import { type BuildView, isFinished } from '../kinds/build.ts'
import type { NodeChoice } from './choose-node.ts'

/** As the CRD bounds the list. */
export const MAX_ATTEMPTS = 20

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
}

export interface BuildFacts {
  readonly build: BuildView
  /** How many living pods wait for it. */
  readonly waitingPods: number
  /** How many of them are on nodes that can build: their kubelets ask for it. */
  readonly pullingPods: number
  /** The node that it is given to by label: undefined when there is no label, its value when there is no such node. */
  readonly givenNode: string | undefined
  /** Why a node cannot finish a build; undefined when it can. */
  readonly lossOf: (node: string) => string | undefined
  readonly nodeExists: (node: string) => boolean
  readonly chooseNode: () => NodeChoice
  readonly memory: BuildMemory
  readonly limits: BuildLimits
  readonly now: number
}

export type BuildAction =
  | { readonly type: 'none' }
  /** Nobody wants it. */
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
  const { build, waitingPods, limits } = facts
  if (!build.managed || waitingPods > 0) return NOTHING
  return afterGrace(facts, 'unwantedSince', limits.unwantedGraceMs, () => ({ type: 'delete' }))
}

function planProgress(facts: BuildFacts): BuildPlan {
  const { build, lossOf, givenNode, limits } = facts
  const node = build.buildNode ?? givenNode
  if (node === undefined) return act(build.managed ? { type: 'none' } : give(facts, build.attempts))
  const loss = lossOf(node)
  if (loss === undefined) return NOTHING
  return afterGrace(facts, 'lostSince', limits.lostGraceMs, () => moveOn(facts, { node, loss }))
}

function moveOn(facts: BuildFacts, { node, loss }: { node: string; loss: string }): BuildAction {
  const { build, limits, now } = facts
  // Written down already, but the label could not be moved.
  const known = build.buildNode === undefined && build.attempts.at(-1)?.node === node
  const attempt = { node, endTime: new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'), reason: loss }
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
  const message = `no node can build it: ${choice.none}`
  return attempts === build.attempts && isHeld(build, message)
    ? { type: 'none' }
    : { type: 'hold', reason: 'NoNode', message, attempts }
}

function isHeld({ phase, conditions }: BuildView, message: string): boolean {
  const complete = conditions.find(({ type }) => type === 'Complete')
  return phase === 'Pending' && complete?.reason === 'NoNode' && complete.message === message
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
