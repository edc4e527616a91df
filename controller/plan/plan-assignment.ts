import type { NixBuildAttempt } from '../../kube/resources/nixbuild.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import {
  act,
  type NixBuildAction,
  type NixBuildFacts,
  type NixBuildPlan,
  NOTHING,
  type Selection,
} from './nixbuild-facts.ts'
import { soonest } from './soonest.ts'

/**
 * Shortest time between two writes of why no node can build, in milliseconds. Any change of a node may change the
 * reason.
 */
const REASON_WRITE_MS = 60_000

/**
 * An image that was lost, or that a node failed to make, is made again after this time, in milliseconds: a kubelet removes
 * images that nothing uses when its disk is full.
 */
export const AGAIN_MS = 3_600_000

/** Plans a NixBuild that no node has. */
export function planAssignment(facts: NixBuildFacts): NixBuildPlan {
  if (facts.selection) return planSelected(facts, facts.selection)
  return facts.build.createdForPods ? planStranded(facts) : planMadeByHand(facts)
}

/** Plans one that has succeeded, and whose image no node has any more. */
export function planAgain(facts: NixBuildFacts): NixBuildPlan {
  const { build, selection, now } = facts
  const isFetched = selection !== undefined && selection.nodes.size > 0 && !selection.canBuild
  if (!isFetched) return planStranded(facts)
  const againAt = (build.finishedAt ?? build.createdAt) + AGAIN_MS
  if (now >= againAt) return assign(facts)
  const plan = planStranded(facts)
  return { ...plan, recheckAt: soonest(plan.recheckAt, againAt) }
}

/** One of the nodes that it selects builds it, and is waited for. If they only fetch, another node gets it. */
function planSelected(facts: NixBuildFacts, { nodes, canBuild }: Selection): NixBuildPlan {
  if (facts.isPulled || canBuild) return NOTHING
  if (nodes.size > 0 || facts.isStranded) return assign(facts)
  const message = `no node for ${facts.build.system} with a shim has the labels of spec.nodes`
  return limitReasonWrites(facts, { type: 'leavePending', reason: 'NoNode', message, attempts: facts.build.attempts })
}

/**
 * The nodes of its pods build one for pods. Only if none of them can, another node gets it: after the grace time, as they
 * may come back, but immediately if one of them only waits for it.
 */
function planStranded(facts: NixBuildFacts): NixBuildPlan {
  const { isPulled, isStranded, isFetched, memory, limits, now } = facts
  if (isPulled || !isStranded) return NOTHING
  const stranded = memory.stranded ?? now
  const dueAt = isFetched ? now : stranded + limits.builderGraceMs
  if (now < dueAt) return { action: { type: 'none' }, memory: { stranded }, recheckAt: dueAt }
  const plan = assign(facts)
  // If no node can build it, it is due as soon as one can.
  return { ...plan, memory: { ...plan.memory, stranded } }
}

/** If a pod pulls it, the pod's node builds it. */
function planMadeByHand(facts: NixBuildFacts): NixBuildPlan {
  return facts.isPulled ? NOTHING : assign(facts)
}

function assign(facts: NixBuildFacts): NixBuildPlan {
  const action = assignToChosenNode(facts, facts.build.attempts)
  return action.type === 'leavePending' ? limitReasonWrites(facts, action) : act(action)
}

/** Leaves the NixBuild Pending if no node can build it. */
export function assignToChosenNode(
  { chooseNode, assignedNode, assignedInNamespace, limits }: NixBuildFacts,
  attempts: readonly NixBuildAttempt[],
): Extract<NixBuildAction, { type: 'assign' | 'leavePending' }> {
  if (assignedNode === undefined && assignedInNamespace >= limits.maxAssigned) {
    const message = `waits for other NixBuilds of its namespace: nodes build ${limits.maxAssigned} of them at most (--max-assigned)`
    return { type: 'leavePending', reason: 'TooMany', message, attempts }
  }
  const choice = chooseNode()
  if ('node' in choice) return { type: 'assign', node: choice.node, attempts }
  return { type: 'leavePending', reason: 'NoNode', message: `no node can build it: ${choice.none}`, attempts }
}

/** Writes a new reason only so often, and an unchanged one never. */
function limitReasonWrites(
  { build, memory: { reasonWrittenAt }, now }: NixBuildFacts,
  action: Extract<NixBuildAction, { type: 'leavePending' }>,
): NixBuildPlan {
  const written = waitingReason(build)
  const kept = reasonWrittenAt === undefined ? {} : { reasonWrittenAt }
  if (written === action.message) return { action: { type: 'none' }, memory: kept }
  const dueAt = (reasonWrittenAt ?? Number.NEGATIVE_INFINITY) + REASON_WRITE_MS
  if (written === undefined || now >= dueAt) return { action, memory: { reasonWrittenAt: now } }
  return { action: { type: 'none' }, memory: kept, recheckAt: dueAt }
}

/** Whether it waits for others of its namespace. */
export function isTooMany({ phase, conditions }: NixBuildView): boolean {
  return phase === 'Pending' && conditions.some(({ type, reason }) => type === 'Complete' && reason === 'TooMany')
}

/** Why no node builds it, according to its status. */
export function waitingReason({ phase, conditions }: NixBuildView): string | undefined {
  const complete = conditions.find(({ type }) => type === 'Complete')
  return phase === 'Pending' && ['NoNode', 'TooMany'].includes(complete?.reason ?? '') ? complete?.message : undefined
}
