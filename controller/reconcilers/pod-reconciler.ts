import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import { CONTROLLER, nixBuildNames } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { type Making, nixBuildOf } from '../../kube/resources/nixbuild-recipe.ts'
import { messageOf, RetryableError, ShimError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { theOnesToTell, theOneToTell } from '../reconcile/image-built.ts'
import { lossOf } from '../reconcile/node-state.ts'
import { type PodPlan, planPod, podPatch } from '../reconcile/plan-pod.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { wantId } from '../state/wants-index.ts'
import { buildView } from '../views/nixbuild.ts'
import { type PodView, pods as podKind } from '../views/pod.ts'

/** A state that a better one follows sooner is not written: most pods are told Building and Built, and not Pending before. */
const SETTLE_MS = { Pending: 2000, Building: 300, Importing: 300 }
/** When to look whether the NixBuild is there that is being made for another pod, in milliseconds. */
const MADE_BY_ANOTHER_MS = 1000

/** Makes the world fit for one object. Returns when to look at it again, in time of Date.now(), if nothing happens before. */
export type Reconciler = (key: string) => Promise<number | undefined>

export interface PodReconcilerPlan {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes'>
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly events: Pick<EventRecorder, 'record'>
}

export function createPodReconciler({ state, kube, events }: PodReconcilerPlan): Reconciler {
  const differs = new Map<string, { readonly uid: string; readonly since: number }>()
  /** What is being made right now: the pods of one recipe come all at once. */
  const making = new Set<string>()
  /** Why what a pod wants could not be made, by the pod's key and then by `recipeKey`. */
  const refusals = new Map<string, ReadonlyMap<string, string>>()

  async function work(key: string): Promise<number | undefined> {
    const pod = state.pods.get(key)
    const plan = pod && planOf(key, pod)
    if (plan?.differsSince === undefined) differs.delete(key)
    else differs.set(key, { uid: pod?.uid ?? '', since: plan.differsSince })
    if (!pod || !plan) {
      refusals.delete(key)
      return undefined
    }
    const made = await perform(key, pod, plan)
    return made ? plan.recheckAt : Date.now() + MADE_BY_ANOTHER_MS
  }

  function planOf(key: string, pod: PodView): PodPlan {
    const { wants, problems } = state.pods.wantsOf(key)
    const last = differs.get(key)
    return planPod({
      pod,
      nodeKnown: pod.node !== undefined && state.nodes.has(pod.node),
      wanted: theOnesToTell(
        wants.map(want => ({
          want,
          build: theOneToTell(state.builds.ofRecipe(wantId(pod.namespace, want.key))),
          refused: refusals.get(key)?.get(want.key),
        })),
        pod.node,
      ),
      problems,
      loss: pod.node === undefined ? undefined : lossOf(pod.node, state.nodes.state(pod.node)),
      differsSince: last?.uid === pod.uid ? last.since : undefined,
      now: Date.now(),
      settleMs: SETTLE_MS,
    })
  }

  /** Whether all that was to be made is made. Throws why it could not be once all else is done. */
  async function perform(key: string, pod: PodView, plan: PodPlan): Promise<boolean> {
    const { namespace } = pod
    const { made, errors } = await makeAll(key, pod, plan)
    for (const { build, owners } of plan.own) {
      const { name, uid, resourceVersion } = build
      const body = { metadata: { uid, resourceVersion, ownerReferences: owners } }
      const owned = await kube.patch(nixBuilds, { namespace, name, body }, { type: 'merge', fieldManager: CONTROLLER })
      if (owned) state.builds.wrote(buildView(owned))
    }
    if (plan.condition !== 'keep') await writeCondition(key, pod, plan.condition)
    for (const { reason, message } of plan.events) {
      const about = { apiVersion: 'v1', kind: 'Pod', namespace, name: pod.name, uid: pod.uid }
      events.record({ about, type: 'Warning', reason, message })
    }
    if (errors.length > 0) throw errors[0]
    return made
  }

  async function makeAll(key: string, { namespace }: PodView, { create }: PodPlan) {
    const refused = new Map<string, string>()
    const errors: unknown[] = []
    let made = true
    for (const build of create) {
      try {
        made = (await make(namespace, build)) && made
      } catch (error) {
        errors.push(error)
        if (isRefusal(error)) refused.set(recipeKey(build.recipe), messageOf(error))
      }
    }
    if (refused.size > 0) refusals.set(key, refused)
    else refusals.delete(key)
    return { made, errors }
  }

  async function make(namespace: string, { recipe, owners }: PodPlan['create'][number]): Promise<boolean> {
    const key = wantId(namespace, recipeKey(recipe))
    if (making.has(key)) return false
    making.add(key)
    try {
      await makeUnderFreeName(recipe, { namespace, managedBy: CONTROLLER, ownerReferences: owners })
      return true
    } finally {
      making.delete(key)
    }
  }

  /** Those of other recipes stay: they are people's, or forged and about to be deleted. */
  async function makeUnderFreeName(recipe: FlakeRecipe, making: Making): Promise<void> {
    const key = recipeKey(recipe)
    for (const name of nixBuildNames(recipe)) {
      const there = state.builds.get(`${making.namespace}/${name}`)
      if (there && !('key' in there.recipe && there.recipe.key === key)) continue
      const made = await kube.create(nixBuilds, nixBuildOf(recipe, { ...making, name }))
      return state.builds.wrote(buildView(made))
    }
    const [first] = nixBuildNames(recipe)
    const says = `the NixBuild ${quote(first)}, and those of its other names, have another recipe than ${recipe.image}`
    throw new RetryableError('ClusterConflict', `${says}, which needs one of these names: delete one of them`)
  }

  async function writeCondition(
    key: string,
    pod: PodView,
    change: Exclude<PodPlan['condition'], 'keep'>,
  ): Promise<void> {
    const object = { namespace: pod.namespace, name: pod.name, body: podPatch(pod, change, Date.now()) }
    const options = { type: 'strategic', subresource: 'status', fieldManager: CONTROLLER } as const
    const written = await kube.patch(podKind, object, options)
    if (written) state.pods.wrote(key, written)
  }

  return work
}

/** Not one that says that the API server is away: then a pod cannot be told either. */
function isRefusal(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'ClusterRefused' || error.code === 'ClusterConflict')
}
