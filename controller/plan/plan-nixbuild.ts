import { isFinished } from '../../kube/resources/nixbuild.ts'
import { type Aggregate, aggregate } from './aggregate.ts'
import { planLostNode } from './lost-node.ts'
import { act, afterGrace, type NixBuildFacts, type NixBuildPlan, NOTHING } from './nixbuild-facts.ts'
import { groupsPatch, reportPatch } from './nixbuild-report.ts'
import { planAgain, planAssignment } from './plan-assignment.ts'
import { soonest } from './soonest.ts'

/** Shortest time between two reports about one NixBuild, in milliseconds. */
const REPORT_MS = 5_000
/**
 * Before a state is reported that a better one may soon replace, in milliseconds: the better one would wait for the next
 * report. A queued build often begins within a second.
 */
const SETTLE_MS = { Pending: 2_000, others: 1_000 }

export function planNixBuild(facts: NixBuildFacts): NixBuildPlan {
  const { build } = facts
  if (build.deleting) return NOTHING
  if (isFinished(build.phase)) return planFinished(facts)
  if ('problem' in build.recipe) return act({ type: 'fail', message: build.recipe.problem, attempts: build.attempts })
  const unwanted = planUnwanted(facts)
  if (unwanted.action.type === 'delete') return unwanted
  return merge(unwanted, planProgress(facts))
}

/** An image that no node has any more is made again for pods whose own nodes cannot make it. */
function planFinished(facts: NixBuildFacts): NixBuildPlan {
  const news = aggregateOf(facts)
  const isGone = facts.build.phase === 'Succeeded' && news.isLeft && facts.assignedNode === undefined
  const again = isGone ? planAgain(facts) : NOTHING
  return again.action.type === 'none' ? merge(again, planReport(facts, news)) : withGroups(again, facts, news)
}

function planUnwanted(facts: NixBuildFacts): NixBuildPlan {
  const { build, isRequested, isWaitedFor, limits } = facts
  // A started pod may still need a build that has begun: its kubelet pulls the image again.
  const isWanted = build.buildNode === undefined ? isWaitedFor : isRequested
  if (!build.createdForPods || isWanted || build.nodes) return NOTHING
  return afterGrace(facts, 'unwanted', limits.unwantedGraceMs, () => ({ type: 'delete' }))
}

function planProgress(facts: NixBuildFacts): NixBuildPlan {
  const { build, assignedNode } = facts
  const news = aggregateOf(facts)
  const node = build.buildNode ?? assignedNode
  const lost = node === undefined ? NOTHING : planLostNode(facts, node)
  if (lost.action.type !== 'none') return withGroups(lost, facts, news)
  const assigning = node === undefined && news.isLeft ? planAssignment(facts) : NOTHING
  if (assigning.action.type !== 'none') return merge(lost, withGroups(assigning, facts, news))
  return merge(lost, merge(assigning, planReport(facts, news)))
}

/** Whatever a status says, it also says which nodes are selected: a status without them says that there are none. */
function withGroups(plan: NixBuildPlan, { build }: NixBuildFacts, news: Aggregate): NixBuildPlan {
  const { action } = plan
  if (action.type === 'none' || action.type === 'delete' || action.type === 'report') return plan
  const groups = groupsPatch(build, news)
  return Object.keys(groups).length === 0 ? plan : { ...plan, action: { ...action, groups } }
}

function aggregateOf(facts: NixBuildFacts): Aggregate {
  const { build, seenAt, entries, assignedNode, isRequestedOn, waitingSince, isHeard, problemOfNode, problemOfShim } =
    facts
  return aggregate({
    build,
    // The clock of the API server may be ahead.
    bornAt: Math.min(build.createdAt, seenAt),
    entries,
    isTrusted: node =>
      node === build.buildNode ||
      node === assignedNode ||
      facts.selection?.nodes.has(node) === true ||
      isRequestedOn(node),
    selected: facts.selection && [...facts.selection.nodes.keys()],
    waitingSince,
    isFetchOnly: facts.isFetchOnly,
    // One that has a problem may still come back.
    isHeard: node => isHeard(node) && problemOfNode(node) === undefined && problemOfShim(node) === undefined,
    // The node of the status keeps its build for the grace time.
    counts(node, { details }) {
      const problemOf = build.createdForPods || details.pods.length > 0 ? problemOfShim : problemOfNode
      return node === build.buildNode || problemOf(node) === undefined
    },
  })
}

/** Writes what the nodes say. A result does not wait, except for the last write. */
function planReport({ build, memory, writtenAt, now }: NixBuildFacts, news: Aggregate): NixBuildPlan {
  const patch = reportPatch(build, news, now)
  if (patch === undefined) return NOTHING
  const { main } = news
  const outdatedSince = memory.outdatedSince ?? now
  const isResult = main !== undefined && isFinished(main.phase)
  const dueAt = Math.max(
    writtenAt === undefined ? now : writtenAt + REPORT_MS,
    isResult ? now : outdatedSince + (main?.phase === 'Pending' ? SETTLE_MS.Pending : SETTLE_MS.others),
  )
  if (now >= dueAt) return act({ type: 'report', patch })
  return { action: { type: 'none' }, memory: { outdatedSince }, recheckAt: dueAt }
}

function merge(a: NixBuildPlan, b: NixBuildPlan): NixBuildPlan {
  return { action: b.action, memory: { ...a.memory, ...b.memory }, recheckAt: soonest(a.recheckAt, b.recheckAt) }
}
