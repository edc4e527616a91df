import { apiTime } from '../../kube/resources/metadata.ts'
import { NIXBUILD_LIMITS, type NixBuildAttempt } from '../../kube/resources/nixbuild.ts'
import { afterGrace, type NixBuildAction, type NixBuildFacts, type NixBuildPlan, NOTHING } from './nixbuild-facts.ts'
import { assignToChosenNode } from './plan-assignment.ts'

/**
 * What the controller does when a node dies: it is not ready, its shim does not renew its Lease, or its Node is
 * deleted. If this lasts for the grace time, the node loses its builds:
 *
 * - An unfinished NixBuild made by hand is assigned to another node. If pods pull its image, it becomes Pending: the
 *   nodes of these pods build it. After too many lost nodes it fails.
 * - An unfinished NixBuild created for pods becomes Pending: the nodes of its pods build it.
 *
 * A node that is only not ready keeps the builds that its pods request, also of NixBuilds made by hand: its living shim
 * continues them. A node has its images until its NixNode is deleted.
 */
export function planLostNode(facts: NixBuildFacts, node: string): NixBuildPlan {
  const problem = reasonToMove(facts, node)
  if (problem === undefined) return NOTHING
  return afterGrace(facts, `lost ${node}`, facts.limits.lostGraceMs, () => moveBuild(facts, { node, problem }))
}

function reasonToMove(
  { build, problemOfNode, problemOfShim, isRequestedOn }: NixBuildFacts,
  node: string,
): string | undefined {
  const isForPods = build.createdForPods || (build.buildNode === node && isRequestedOn(node))
  return isForPods ? problemOfShim(node) : problemOfNode(node)
}

function moveBuild(facts: NixBuildFacts, { node, problem }: { node: string; problem: string }): NixBuildAction {
  const { build, isPulled, selection, limits, now } = facts
  // An earlier plan may have written the attempt, and the controller ended before it assigned the build.
  const isWritten = build.buildNode === undefined && build.attempts.at(-1)?.node === node
  const attempt = { node, endTime: apiTime(now), reason: problem }
  const attempts = isWritten ? build.attempts : [...build.attempts, attempt].slice(-NIXBUILD_LIMITS.attempts)
  if (!build.createdForPods && attempts.length >= limits.maxAttempts)
    return { type: 'fail', message: failureMessage(attempts), attempts }
  return build.createdForPods || isPulled || selection?.canBuild
    ? { type: 'leavePending', reason: 'NodeLost', message: `${problem}; waiting for another node`, attempts }
    : assignToChosenNode(facts, attempts)
}

function failureMessage(attempts: readonly NixBuildAttempt[]): string {
  const history = attempts.map(({ endTime, reason }) => `${endTime} ${reason}`)
  return `given up after ${attempts.length} ${attempts.length === 1 ? 'attempt' : 'attempts'}: ${history.join('; ')}`
}
