import type { NixBuildAttempt } from '../../kube/resources/nixbuild.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import { act, type NixBuildAction, type NixBuildFacts, type NixBuildPlan, NOTHING } from './nixbuild-facts.ts'

/**
 * Shortest time between two writes of why no node can build, in milliseconds. Any change of a node may change the
 * reason.
 */
const REASON_WRITE_MS = 60_000

/** Plans a NixBuild that no node has. */
export function planAssignment(facts: NixBuildFacts): NixBuildPlan {
  return facts.build.createdForPods ? planStranded(facts) : planMadeByHand(facts)
}

/** The nodes of its pods claim a build for pods. Only if none of them can, another node gets it after the grace time. */
function planStranded(facts: NixBuildFacts): NixBuildPlan {
  const { pullingPods, strandedPods, memory, limits, now } = facts
  if (pullingPods > 0 || strandedPods === 0) return NOTHING
  const stranded = memory.stranded ?? now
  const dueAt = stranded + limits.builderGraceMs
  if (now < dueAt) return { action: { type: 'none' }, memory: { stranded }, recheckAt: dueAt }
  const plan = assign(facts)
  // If no node can build it, it is due as soon as one can.
  return { ...plan, memory: { ...plan.memory, stranded } }
}

/** If a pod pulls it, the pod's node builds it. */
function planMadeByHand(facts: NixBuildFacts): NixBuildPlan {
  return facts.pullingPods > 0 ? NOTHING : assign(facts)
}

function assign(facts: NixBuildFacts): NixBuildPlan {
  const action = assignToChosenNode(facts, facts.build.attempts)
  return action.type === 'leavePending' ? limitReasonWrites(facts, action) : act(action)
}

/** Leaves the NixBuild Pending if no node can build it. */
export function assignToChosenNode(
  { chooseNode }: NixBuildFacts,
  attempts: readonly NixBuildAttempt[],
): Extract<NixBuildAction, { type: 'assign' | 'leavePending' }> {
  const choice = chooseNode()
  if ('node' in choice) return { type: 'assign', node: choice.node, attempts }
  return { type: 'leavePending', reason: 'NoNode', message: `no node can build it: ${choice.none}`, attempts }
}

/** Writes a new reason only so often, and an unchanged one never. */
function limitReasonWrites(
  { build, memory: { reasonWrittenAt }, now }: NixBuildFacts,
  action: Extract<NixBuildAction, { type: 'leavePending' }>,
): NixBuildPlan {
  const written = noNodeReason(build)
  const kept = reasonWrittenAt === undefined ? {} : { reasonWrittenAt }
  if (written === action.message) return { action: { type: 'none' }, memory: kept }
  const dueAt = (reasonWrittenAt ?? Number.NEGATIVE_INFINITY) + REASON_WRITE_MS
  if (written === undefined || now >= dueAt) return { action, memory: { reasonWrittenAt: now } }
  return { action: { type: 'none' }, memory: kept, recheckAt: dueAt }
}

/** Why no node can build it, according to its status. */
export function noNodeReason({ phase, conditions }: NixBuildView): string | undefined {
  const complete = conditions.find(({ type }) => type === 'Complete')
  return phase === 'Pending' && complete?.reason === 'NoNode' ? complete.message : undefined
}
