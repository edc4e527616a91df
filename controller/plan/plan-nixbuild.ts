import { isFinished } from '../../kube/resources/nixbuild.ts'
import { planGoneNodes, planLostNode } from './lost-node.ts'
import { act, afterGrace, type NixBuildFacts, type NixBuildPlan, NOTHING } from './nixbuild-facts.ts'
import { planAssignment } from './plan-assignment.ts'
import { soonest } from './soonest.ts'

export function planNixBuild(facts: NixBuildFacts): NixBuildPlan {
  const { build } = facts
  if (build.deleting) return NOTHING
  if (build.forged) return act({ type: 'delete' })
  if (isFinished(build.phase)) return planGoneNodes(facts)
  if ('problem' in build.recipe) return act({ type: 'fail', message: build.recipe.problem, attempts: build.attempts })
  const unwanted = planUnwanted(facts)
  if (unwanted.action.type === 'delete') return unwanted
  return merge(unwanted, planProgress(facts))
}

function planUnwanted(facts: NixBuildFacts): NixBuildPlan {
  const { build, requestingPods, waitingPods, limits } = facts
  // A started pod may still need a build that has begun: its kubelet pulls the image again.
  const pods = build.buildNode === undefined ? waitingPods : requestingPods
  if (!build.createdForPods || pods > 0) return NOTHING
  return afterGrace(facts, 'unwanted', limits.unwantedGraceMs, () => ({ type: 'delete' }))
}

function planProgress(facts: NixBuildFacts): NixBuildPlan {
  const { build, assignedNode } = facts
  const node = build.buildNode ?? assignedNode
  return node === undefined ? planAssignment(facts) : planLostNode(facts, node)
}

function merge(a: NixBuildPlan, b: NixBuildPlan): NixBuildPlan {
  return { action: b.action, memory: { ...a.memory, ...b.memory }, recheckAt: soonest(a.recheckAt, b.recheckAt) }
}
