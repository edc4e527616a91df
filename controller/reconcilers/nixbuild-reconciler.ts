import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import { CONTROLLER, NODE_LABEL, nodeLabelValue } from '../../kube/resources/names.ts'
import { isFinished, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type BuildToPlace, chooseNode } from '../plan/choose-node.ts'
import type { NixBuildAction, NixBuildMemory, NixBuildPlan, PlanLimits } from '../plan/nixbuild-facts.ts'
import { nixBuildEvent, statusPatch } from '../plan/nixbuild-report.ts'
import { nodeProblem, repelProblem, shimProblem } from '../plan/node-problem.ts'
import { planNixBuild } from '../plan/plan-nixbuild.ts'
import type { PodImageRequest } from '../plan/pod-requests.ts'
import { soonest } from '../plan/soonest.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { recipeId } from '../state/request-index.ts'
import { type NixBuildView, nixBuildView } from '../views/nixbuild.ts'
import { createImagesInUse } from './images-in-use.ts'
import type { Reconciler } from './pod-reconciler.ts'

/**
 * When to check again whether unwatched pods use a build, in milliseconds. These are pods that started without it long
 * ago.
 */
const UNWATCHED_USE_MS = 60_000
/** Short, as a new pod may use the build. But a thousand unused builds must not cause a thousand lists of all pods. */
const UNWATCHED_UNUSED_MS = 5_000

export interface NixBuildReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes'>
  readonly kube: Pick<Kube, 'list' | 'patch' | 'delete'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly limits: PlanLimits
}

export function createNixBuildReconciler({ state, kube, events, limits }: NixBuildReconcilerOptions): Reconciler {
  const memories = new Map<string, { readonly uid: string; readonly memory: NixBuildMemory }>()
  /** Nodes that builds are being assigned to right now. These builds count as running there. */
  const assigning = new Map<string, string>()
  const inUse = createImagesInUse({ kube, usedCacheMs: UNWATCHED_USE_MS, unusedCacheMs: UNWATCHED_UNUSED_MS })

  async function reconcile(key: string): Promise<number | undefined> {
    const build = state.builds.get(key)
    if (!build) {
      memories.delete(key)
      return undefined
    }
    const plan = planOf(key, build)
    if (Object.keys(plan.memory).length === 0) memories.delete(key)
    else memories.set(key, { uid: build.uid, memory: plan.memory })
    if (plan.action.type === 'delete' && !build.forged && (await isUsed(build))) return Date.now() + UNWATCHED_USE_MS
    await perform(key, build, plan.action)
    return soonest(plan.recheckAt, isFinished(build.phase) ? undefined : leaseExpiry(build))
  }

  function planOf(key: string, build: NixBuildView): NixBuildPlan {
    const last = memories.get(key)
    const requesting = podsRequesting(build)
    const waiting = [...requesting].flatMap(([pod, { started }]) => (started ? [] : pod))
    const pulling = waiting.filter(pod => requesting.get(pod)?.pulled)
    const pullingPods = pulling.filter(pod => isOnBuildingNode(pod, build)).length
    return planNixBuild({
      build,
      requestingPods: requesting.size,
      waitingPods: waiting.length,
      pullingPods,
      strandedPods: pulling.length - pullingPods,
      assignedNode:
        build.assignedTo === undefined ? undefined : (state.nodes.named(build.assignedTo) ?? build.assignedTo),
      problemOfNode: node => nodeProblem(node, state.nodes.state(node)),
      problemOfShim: node => shimProblem(node, state.nodes.state(node)),
      isRequestedOn: node => [...requesting.keys()].some(pod => state.pods.get(pod)?.node === node),
      nodeExists: state.nodes.has,
      chooseNode: () => chooseNode(state.nodes.states(), placeOf(key, build)),
      memory: last?.uid === build.uid ? last.memory : {},
      limits,
      now: Date.now(),
    })
  }

  function podsRequesting({ namespace, recipe }: NixBuildView): ReadonlyMap<string, PodImageRequest> {
    return 'key' in recipe ? state.pods.podsRequesting(recipeId(namespace, recipe.key)) : new Map()
  }

  /** A started pod may pull its image again, but it is not watched if it never waited for a NixBuild. */
  async function isUsed({ namespace, recipe }: NixBuildView): Promise<boolean> {
    return 'image' in recipe && (await inUse(namespace, [recipe.image])).has(recipe.image)
  }

  /** The shim of a node that is not ready continues, so a NixBuild for pods stays with it. */
  function isOnBuildingNode(podKey: string, { createdForPods }: NixBuildView): boolean {
    const node = state.pods.get(podKey)?.node
    if (node === undefined) return false
    const nodeState = state.nodes.state(node)
    const problem = createdForPods ? shimProblem(node, nodeState) : nodeProblem(node, nodeState)
    return problem === undefined && repelProblem(node, nodeState) === undefined
  }

  function placeOf(key: string, { system, nodeSelector, namespace, recipe }: NixBuildView): BuildToPlace {
    return { system, nodeSelector, recipe: 'key' in recipe ? recipeId(namespace, recipe.key) : key, countRunning }
  }

  function nodeOf({ buildNode, assignedTo }: NixBuildView): string | undefined {
    return buildNode ?? (assignedTo === undefined ? undefined : state.nodes.named(assignedTo))
  }

  function countRunning(): (node: string) => number {
    const counts = new Map<string, number>()
    const nodes = state.builds.unfinished().map(build => nodeOf(build))
    for (const node of [...nodes, ...assigning.values()]) {
      if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
    return node => counts.get(node) ?? 0
  }

  /** When the Lease of the shim that has the build expires, or else the last Lease of the nodes that may claim it. */
  function leaseExpiry(build: NixBuildView): number | undefined {
    const node = nodeOf(build)
    const nodes = node === undefined ? nodesOfPods(build) : [node]
    const aliveUntil = nodes.reduce((last, each) => Math.max(last, state.nodes.aliveUntil(each) ?? 0), 0)
    return aliveUntil > Date.now() ? aliveUntil + 1 : undefined
  }

  function nodesOfPods(build: NixBuildView): string[] {
    return [...podsRequesting(build).keys()].flatMap(pod => state.pods.get(pod)?.node ?? [])
  }

  async function perform(key: string, build: NixBuildView, action: NixBuildAction): Promise<void> {
    if (action.type === 'none') return
    const { namespace, name, uid, resourceVersion } = build
    if (action.type === 'delete') return kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
    if (action.type === 'assign') assigning.set(key, action.node)
    try {
      // Status before label: the labelled node claims the build immediately, unless its status names another node.
      const body = { metadata: { uid, resourceVersion }, status: statusPatch(build, action, Date.now()) }
      const written = await patch(build, body, 'status')
      const label = action.type === 'assign' ? nodeLabelValue(action.node) : undefined
      if (written && action.type !== 'removeGoneNodes' && action.type !== 'fail') await setLabel(written, label)
      const event = nixBuildEvent(build, action)
      if (event) events.record(event)
    } finally {
      assigning.delete(key)
    }
  }

  async function setLabel(build: NixBuildView, value: string | undefined): Promise<void> {
    if (build.assignedTo === value) return
    const { uid, resourceVersion } = build
    await patch(build, { metadata: { uid, resourceVersion, labels: { [NODE_LABEL]: value ?? null } } })
  }

  async function patch(
    { namespace, name }: NixBuildView,
    body: object,
    subresource?: 'status',
  ): Promise<NixBuildView | undefined> {
    const options = { type: 'merge', fieldManager: CONTROLLER, ...(subresource && { subresource }) } as const
    const answer = await kube.patch(nixBuilds, { namespace, name, body }, options)
    const written = answer && nixBuildView(answer)
    if (written) state.builds.recordWrite(written)
    return written
  }

  return reconcile
}
