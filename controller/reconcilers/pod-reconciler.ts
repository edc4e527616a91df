import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import { CONTROLLER } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import type { NixBuildOptions } from '../../kube/resources/nixbuild-recipe.ts'
import { NIXNODE_LIMITS } from '../../kube/resources/nixnode.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { nodeProblem, repelProblem, shimProblem } from '../plan/node-problem.ts'
import { type PodPlan, planPod } from '../plan/plan-pod.ts'
import { type ConditionChange, podEvent, podPatch } from '../plan/pod-report.ts'
import { furthestBuild, reportedBuilds } from '../plan/reported-builds.ts'
import { soonest } from '../plan/soonest.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { nixBuildView, recipeId } from '../views/nixbuild.ts'
import { isActive, type NodeEntry } from '../views/nixnode.ts'
import { type PodView, pods as podKind } from '../views/pod.ts'
import type { CreateNixBuild } from './create-nixbuild.ts'

/** A state is not written if a better one follows sooner: a short build costs its pod one write. In milliseconds. */
const SETTLE_MS = { first: 5000, Pending: 2000, Building: 300, Importing: 300 }
/** Shortest time between two writes of one pod's progress, in milliseconds. */
const PROGRESS_MS = 10_000
/** Added for each build in the cluster. It limits how often all pods together write. */
const PROGRESS_PER_BUILD_MS = 20
/** When to check for a NixBuild that is being created for another pod, in milliseconds. */
const CREATED_BY_ANOTHER_MS = 1000

/** Reconciles one object. Returns the time of Date.now() to reconcile it again if nothing changes earlier. */
export type Reconciler = (key: string) => Promise<number | undefined>

export interface PodReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes' | 'nodeBuilds'>
  readonly kube: Pick<Kube, 'patch'>
  readonly createNixBuild: CreateNixBuild
  readonly events: Pick<EventRecorder, 'record'>
  /** Whether conditions are written. */
  readonly writesConditions: boolean
}

/** What is remembered of a pod. */
interface PodMemory {
  readonly uid: string
  readonly differsSince?: number | undefined
  readonly writtenAt?: number | undefined
  readonly told: ReadonlySet<string>
}

const NOTHING_TOLD: ReadonlySet<string> = new Set()

export function createPodReconciler(options: PodReconcilerOptions): Reconciler {
  const { state, kube, createNixBuild, events, writesConditions } = options
  const memories = new Map<string, PodMemory>()
  /** Why NixBuilds could not be created, by the pod's key and then by `recipeKey`. */
  const refusals = new Map<string, ReadonlyMap<string, string>>()

  async function reconcile(key: string): Promise<number | undefined> {
    const pod = state.pods.get(key)
    if (!pod) {
      memories.delete(key)
      refusals.delete(key)
      return undefined
    }
    const plan = planOf(key, pod)
    remember(key, pod, plan)
    const created = await perform(key, pod, plan)
    return created ? soonest(plan.recheckAt, leaseExpiry(key, pod)) : Date.now() + CREATED_BY_ANOTHER_MS
  }

  function remember(key: string, { uid }: PodView, { differsSince, condition, events }: PodPlan): void {
    const last = memoryOf(key, uid)
    const writtenAt = condition === 'keep' ? last?.writtenAt : Date.now()
    const isTold = !writesConditions && events.length > 0
    const told = isTold ? new Set([...(last?.told ?? []), ...events.map(({ message }) => message)]) : last?.told
    if (differsSince === undefined && writtenAt === undefined && told === undefined) memories.delete(key)
    else memories.set(key, { uid, differsSince, writtenAt, told: told ?? NOTHING_TOLD })
  }

  function memoryOf(key: string, uid: string): PodMemory | undefined {
    const last = memories.get(key)
    return last?.uid === uid ? last : undefined
  }

  function planOf(key: string, pod: PodView): PodPlan {
    const { requests, problems } = state.pods.requestsOf(key)
    const last = memoryOf(key, pod.uid)
    const { node = '' } = pod
    return planPod({
      pod,
      nodeKnown: pod.node !== undefined && state.nodes.has(pod.node),
      requested: reportedBuilds(
        requests.map(request => ({
          request,
          build: furthestBuild(state.builds.ofRecipe(recipeId(pod.namespace, request.key))),
          entry: entryOf(recipeId(pod.namespace, request.key), node),
          refused: refusals.get(key)?.get(request.key),
        })),
        pod.node,
      ),
      problems,
      nodeProblem: problemOf(pod),
      isNodeFull: state.nodeBuilds.onNode(node).length >= NIXNODE_LIMITS.builds,
      writesConditions,
      told: last?.told ?? NOTHING_TOLD,
      writtenAt: last?.writtenAt,
      progressMs: PROGRESS_MS + state.nodeBuilds.active * PROGRESS_PER_BUILD_MS,
      differsSince: last?.differsSince,
      now: Date.now(),
      settleMs: SETTLE_MS,
    })
  }

  /** A silent shim no longer works on anything. */
  function entryOf(id: string, node: string): NodeEntry | undefined {
    const entry = state.nodeBuilds.entry(id, node)
    const isLost = entry && isActive(entry) && shimProblem(node, state.nodes.state(node)) !== undefined
    return isLost ? undefined : entry
  }

  /** When the shim that works for the pod may turn out to be silent, which no event reports. */
  function leaseExpiry(key: string, { namespace, node = '' }: PodView): number | undefined {
    const { requests } = state.pods.requestsOf(key)
    const isAtWork = requests.some(request => {
      const entry = state.nodeBuilds.entry(recipeId(namespace, request.key), node)
      return entry && isActive(entry)
    })
    const aliveUntil = isAtWork ? state.nodes.aliveUntil(node) : undefined
    return aliveUntil !== undefined && aliveUntil > Date.now() ? aliveUntil + 1 : undefined
  }

  function problemOf({ node }: PodView): string | undefined {
    if (node === undefined) return undefined
    const nodeState = state.nodes.state(node)
    return nodeProblem(node, nodeState) ?? repelProblem(node, nodeState)
  }

  /**
   * Returns whether all NixBuilds exist now. Throws the first error of creating them, after everything else is done.
   */
  async function perform(key: string, pod: PodView, plan: PodPlan): Promise<boolean> {
    const { namespace } = pod
    const { created, errors } = await createAll(key, pod, plan)
    for (const { build, owners } of plan.adopt) {
      const { name, uid, resourceVersion } = build
      const body = { metadata: { uid, resourceVersion, ownerReferences: owners } }
      const owned = await kube.patch(nixBuilds, { namespace, name, body }, { type: 'merge', fieldManager: CONTROLLER })
      if (owned) state.builds.recordWrite(nixBuildView(owned))
    }
    if (plan.condition !== 'keep') await writeCondition(key, pod, plan.condition)
    for (const problem of plan.events) events.record(podEvent(pod, problem))
    if (errors.length > 0) throw errors[0]
    return created
  }

  async function createAll(key: string, { namespace }: PodView, { create }: PodPlan) {
    const refused = new Map<string, string>()
    const errors: unknown[] = []
    let created = true
    for (const build of create) {
      try {
        created = (await createNixBuild(build.recipe, optionsOf(namespace, build.owners))) && created
      } catch (error) {
        errors.push(error)
        if (isRefusal(error)) refused.set(recipeKey(build.recipe), messageOf(error))
      }
    }
    if (refused.size > 0) refusals.set(key, refused)
    else refusals.delete(key)
    return { created, errors }
  }

  async function writeCondition(key: string, pod: PodView, change: ConditionChange): Promise<void> {
    const object = { namespace: pod.namespace, name: pod.name, body: podPatch(pod, change, Date.now()) }
    const options = { type: 'strategic', subresource: 'status', fieldManager: CONTROLLER } as const
    const written = await kube.patch(podKind, object, options)
    if (written) state.pods.recordWrite(key, written)
  }

  return reconcile
}

function optionsOf(namespace: string, ownerReferences: readonly OwnerReference[]): NixBuildOptions {
  return { namespace, managedBy: CONTROLLER, ownerReferences }
}

/** Excludes errors of an unreachable API server, as the pod's condition cannot be written then either. */
function isRefusal(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'ClusterRefused' || error.code === 'ClusterConflict')
}
