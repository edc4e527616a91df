import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import { CONTROLLER, describeTakenNames, nixBuildNames } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type NixBuildOptions, nixBuildOf } from '../../kube/resources/nixbuild-recipe.ts'
import { messageOf, RetryableError, ShimError } from '../../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { nodeProblem, repelProblem } from '../plan/node-problem.ts'
import { type PodPlan, planPod } from '../plan/plan-pod.ts'
import { type ConditionChange, podEvent, podPatch } from '../plan/pod-report.ts'
import { furthestBuild, reportedBuilds } from '../plan/reported-builds.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { recipeId } from '../state/request-index.ts'
import { nixBuildView } from '../views/nixbuild.ts'
import { type PodView, pods as podKind } from '../views/pod.ts'

/**
 * A state is not written if a better one follows sooner, so most pods see Building and Built but not Pending. In
 * milliseconds.
 */
const SETTLE_MS = { Pending: 2000, Building: 300, Importing: 300 }
/** When to check for a NixBuild that is being created for another pod, in milliseconds. */
const CREATED_BY_ANOTHER_MS = 1000

/** Reconciles one object. Returns the time of Date.now() to reconcile it again if nothing changes earlier. */
export type Reconciler = (key: string) => Promise<number | undefined>

export interface PodReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes'>
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly events: Pick<EventRecorder, 'record'>
}

export function createPodReconciler({ state, kube, events }: PodReconcilerOptions): Reconciler {
  const differs = new Map<string, { readonly uid: string; readonly since: number }>()
  /** Recipes whose NixBuilds are being created: the pods of one recipe often come together. */
  const creating = new Set<string>()
  /** Why NixBuilds could not be created, by the pod's key and then by `recipeKey`. */
  const refusals = new Map<string, ReadonlyMap<string, string>>()

  async function reconcile(key: string): Promise<number | undefined> {
    const pod = state.pods.get(key)
    const plan = pod && planOf(key, pod)
    if (plan?.differsSince === undefined) differs.delete(key)
    else differs.set(key, { uid: pod?.uid ?? '', since: plan.differsSince })
    if (!pod || !plan) {
      refusals.delete(key)
      return undefined
    }
    const created = await perform(key, pod, plan)
    return created ? plan.recheckAt : Date.now() + CREATED_BY_ANOTHER_MS
  }

  function planOf(key: string, pod: PodView): PodPlan {
    const { requests, problems } = state.pods.requestsOf(key)
    const last = differs.get(key)
    return planPod({
      pod,
      nodeKnown: pod.node !== undefined && state.nodes.has(pod.node),
      requested: reportedBuilds(
        requests.map(request => ({
          request,
          build: furthestBuild(state.builds.ofRecipe(recipeId(pod.namespace, request.key))),
          refused: refusals.get(key)?.get(request.key),
        })),
        pod.node,
      ),
      problems,
      nodeProblem: problemOf(pod),
      differsSince: last?.uid === pod.uid ? last.since : undefined,
      now: Date.now(),
      settleMs: SETTLE_MS,
    })
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
        created = (await createNixBuild(namespace, build)) && created
      } catch (error) {
        errors.push(error)
        if (isRefusal(error)) refused.set(recipeKey(build.recipe), messageOf(error))
      }
    }
    if (refused.size > 0) refusals.set(key, refused)
    else refusals.delete(key)
    return { created, errors }
  }

  async function createNixBuild(namespace: string, { recipe, owners }: PodPlan['create'][number]): Promise<boolean> {
    const key = recipeId(namespace, recipeKey(recipe))
    if (creating.has(key)) return false
    creating.add(key)
    try {
      await createUnderFreeName(recipe, { namespace, managedBy: CONTROLLER, ownerReferences: owners })
      return true
    } finally {
      creating.delete(key)
    }
  }

  /** NixBuilds of other recipes stay: they were made by hand, or are forged and will be deleted. */
  async function createUnderFreeName(recipe: FlakeRecipe, options: NixBuildOptions): Promise<void> {
    const key = recipeKey(recipe)
    for (const name of nixBuildNames(recipe)) {
      const there = state.builds.get(`${options.namespace}/${name}`)
      if (there && !('key' in there.recipe && there.recipe.key === key)) continue
      const created = await kube.create(nixBuilds, nixBuildOf(recipe, { ...options, name }))
      return state.builds.recordWrite(nixBuildView(created))
    }
    throw new RetryableError('ClusterConflict', describeTakenNames(recipe, options.namespace))
  }

  async function writeCondition(key: string, pod: PodView, change: ConditionChange): Promise<void> {
    const object = { namespace: pod.namespace, name: pod.name, body: podPatch(pod, change, Date.now()) }
    const options = { type: 'strategic', subresource: 'status', fieldManager: CONTROLLER } as const
    const written = await kube.patch(podKind, object, options)
    if (written) state.pods.recordWrite(key, written)
  }

  return reconcile
}

/** Excludes errors of an unreachable API server, as the pod's condition cannot be written then either. */
function isRefusal(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'ClusterRefused' || error.code === 'ClusterConflict')
}
