import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import { CONTROLLER } from '../../kube/resources/names.ts'
import { isFinished, type NixBuild, nixBuilds, recipeOnly } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import type {
  NixBuildAction,
  NixBuildFacts,
  NixBuildMemory,
  NixBuildPlan,
  PlanLimits,
  Selection,
} from '../plan/nixbuild-facts.ts'
import { nixBuildEvent, statusPatch } from '../plan/nixbuild-report.ts'
import { fetchOnlyProblem, nodeProblem, repelProblem, shimProblem } from '../plan/node-problem.ts'
import { planNixBuild } from '../plan/plan-nixbuild.ts'
import { soonest } from '../plan/soonest.ts'
import { createNodePreparation } from '../prepare/prepare-nodes.ts'
import { settleAssignment } from '../prepare/settle-assignment.ts'
import { imageId } from '../state/builds.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { type NixBuildView, nixBuildView, recipeId } from '../views/nixbuild.ts'
import { isActive } from '../views/nixnode.ts'
import { createPlacement } from './placement.ts'
import type { Reconciler } from './pod-reconciler.ts'

/** A NixBuild of more nodes or pods is planned at most once in this time, in milliseconds: each changes at any time. */
const LARGE_PLAN_MS = 1_000
const LARGE = 100

const NEVER = Number.POSITIVE_INFINITY

interface Times {
  readonly seenAt: number
  readonly plannedAt: number
  /** When its status was last written. */
  readonly writtenAt: number | undefined
}

/** When to check again whether pods without annotations use a build, in milliseconds. */
const PLAIN_USE_MS = 60_000

export interface NixBuildReconcilerOptions {
  readonly state: Pick<
    ClusterState,
    'pods' | 'builds' | 'nodes' | 'nodeBuilds' | 'assignments' | 'preparing' | 'nodeChanges'
  >
  readonly kube: Pick<Kube, 'get' | 'patch' | 'delete'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly limits: PlanLimits
}

export function createNixBuildReconciler({ state, kube, events, limits }: NixBuildReconcilerOptions): Reconciler {
  const { pods, builds, nodes, nodeBuilds, assignments } = state
  const memories = new Map<string, { readonly uid: string; readonly memory: NixBuildMemory } & Times>()
  const placement = createPlacement(state)
  const preparation = createNodePreparation({ state, kube })

  async function reconcile(key: string): Promise<number | undefined> {
    const build = builds.get(key)
    if (!build) {
      memories.delete(key)
      assignments.revoke(key)
      preparation.forget(key)
      return undefined
    }
    if (isFinished(build.phase) || build.deleting || isOfAnother(key, build)) assignments.revoke(key)
    const waitUntil = (memories.get(key)?.plannedAt ?? 0) + LARGE_PLAN_MS
    if (isLarge(idOf(build)) && Date.now() < waitUntil) return waitUntil
    const selection = preparation.select(build)
    settleAssignment(key, { build, selection }, state)
    const plan = planOf(key, build, selection)
    remember(key, build, plan.memory)
    if (plan.action.type === 'delete' && isUsed(build)) return Date.now() + PLAIN_USE_MS
    await perform(key, build, plan.action)
    const prepareAt = await preparation.prepare(key, build, selection)
    return soonest(plan.recheckAt, prepareAt, leaseExpiry(key, build))
  }

  function isLarge(id: string): boolean {
    return nodeBuilds.ofRecipe(id).size > LARGE || pods.podsRequesting(id).size > LARGE
  }

  /** A NixBuild of the same name may have come in its place. */
  function isOfAnother(key: string, { recipe }: NixBuildView): boolean {
    const spec = assignments.recipeOf(key)
    return spec !== undefined && 'key' in recipe && recipeKey(recipeOf({ spec })) !== recipe.key
  }

  function planOf(key: string, build: NixBuildView, selection: Selection | undefined): NixBuildPlan {
    const last = memories.get(key)
    const isSame = last?.uid === build.uid
    const id = idOf(build)
    return planNixBuild({
      build,
      seenAt: isSame ? last.seenAt : Date.now(),
      entries: nodeBuilds.ofRecipe(id),
      isHeard: nodeBuilds.has,
      ...useOf(build, id),
      selection,
      assignedNode: assignments.nodeOf(key),
      assignedInNamespace: placement.countIn(build.namespace),
      problemOfNode: node => problemOf(node, nodeProblem),
      problemOfShim: node => problemOf(node, shimProblem),
      isFetchOnly,
      ...requestingNodes(id),
      chooseNode: () => placement.choose(key, build),
      memory: isSame ? last.memory : {},
      writtenAt: isSame ? last.writtenAt : undefined,
      limits,
      now: Date.now(),
    })
  }

  /** Whatever a node that builds nothing works on, another one builds it. */
  function problemOf(node: string, problem: typeof nodeProblem): string | undefined {
    const nodeState = nodes.state(node)
    return problem(node, nodeState) ?? fetchOnlyProblem(node, nodeState)
  }

  function isFetchOnly(node: string): boolean {
    return nodes.state(node)?.fetchOnly === true
  }

  function requestingNodes(id: string): Pick<NixBuildFacts, 'isRequestedOn' | 'waitingSince'> {
    /** By node: when the first pod that waits was created. Read only if it is needed. */
    let found: ReadonlyMap<string | undefined, number> | undefined
    const all = () => {
      found ??= readRequestingNodes(id)
      return found
    }
    return {
      isRequestedOn: node => all().has(node),
      waitingSince: node => all().get(node) ?? NEVER,
    }
  }

  function readRequestingNodes(id: string): ReadonlyMap<string | undefined, number> {
    const found = new Map<string | undefined, number>()
    for (const [key, { started }] of pods.podsRequesting(id)) {
      const pod = pods.get(key)
      const since = pod && !started ? pod.createdAt : NEVER
      found.set(pod?.node, Math.min(since, found.get(pod?.node) ?? NEVER))
    }
    return found
  }

  /** Keeps the times of the first plan and of the last write. */
  function remember(key: string, { uid }: NixBuildView, memory: NixBuildMemory, writtenAt?: number): void {
    const last = memories.get(key)
    const same = last?.uid === uid ? last : undefined
    const now = Date.now()
    const times = { seenAt: same?.seenAt ?? now, plannedAt: now, writtenAt: writtenAt ?? same?.writtenAt }
    memories.set(key, { uid, memory, ...times })
  }

  function idOf({ namespace, recipe }: NixBuildView): string {
    return 'key' in recipe ? recipeId(namespace, recipe.key) : ''
  }

  /** Looks no further than it must: thousands of pods may have one recipe. */
  function useOf(build: NixBuildView, id: string) {
    let isWaitedFor = false
    let isStranded = false
    let isFetched = false
    const requesting = pods.podsRequesting(id)
    for (const [pod, { started, pulled }] of requesting) {
      if (started) continue
      isWaitedFor = true
      if (!pulled) continue
      const node = pods.get(pod)?.node
      if (isBuildingNode(node, build)) return { isRequested: true, isWaitedFor, isPulled: true, isStranded, isFetched }
      isStranded = true
      isFetched ||= node !== undefined && isFetchOnly(node) && shimProblem(node, nodes.state(node)) === undefined
    }
    return { isRequested: requesting.size > 0, isWaitedFor, isPulled: false, isStranded, isFetched }
  }

  /** The shim of a node that is not ready continues, so a NixBuild for pods stays with it. */
  function isBuildingNode(node: string | undefined, { createdForPods }: NixBuildView): boolean {
    if (node === undefined) return false
    const problem = problemOf(node, createdForPods ? shimProblem : nodeProblem)
    return problem === undefined && repelProblem(node, nodes.state(node)) === undefined
  }

  /** A started pod may pull its image again, but its requests are not known if it never waited for a NixBuild. */
  function isUsed({ namespace, recipe }: NixBuildView): boolean {
    return 'image' in recipe && pods.isImageUsed(imageId(namespace, recipe.image))
  }

  /** When the Lease of a shim expires whose node counts as working on it, or of those that it waits for. */
  function leaseExpiry(key: string, build: NixBuildView): number | undefined {
    const working = [...nodeBuilds.ofRecipe(idOf(build))].flatMap(([node, entry]) => (isActive(entry) ? node : []))
    const first = soonest(...working.map(node => expiryOf([node])))
    if (isFinished(build.phase)) return first
    const node = build.buildNode ?? assignments.nodeOf(key)
    return soonest(first, expiryOf(node === undefined ? nodesOfPods(build) : [node]))
  }

  /** Of the last Lease of these shims. */
  function expiryOf(shims: readonly string[]): number | undefined {
    const aliveUntil = shims.reduce((last, node) => Math.max(last, nodes.aliveUntil(node) ?? 0), 0)
    return aliveUntil > Date.now() ? aliveUntil + 1 : undefined
  }

  function nodesOfPods(build: NixBuildView): string[] {
    return [...pods.podsRequesting(idOf(build)).keys()].flatMap(pod => pods.get(pod)?.node ?? [])
  }

  async function perform(key: string, build: NixBuildView, action: NixBuildAction): Promise<void> {
    if (action.type === 'none') return
    const { namespace, name, uid, resourceVersion } = build
    if (action.type === 'delete') return kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
    if (action.type === 'assign') placement.begin(key, action.node)
    try {
      const answer = await writeStatus(build, action)
      if (!answer) return
      const written = nixBuildView(answer)
      builds.recordWrite(written)
      const { memory = {} } = memories.get(key) ?? {}
      remember(key, build, memory, Date.now())
      // Status first: it has the attempts.
      if (action.type === 'assign') assignments.assign(key, { node: action.node, recipe: recipeOnly(answer.spec) })
      else if (action.type !== 'report' || isFinished(written.phase)) assignments.revoke(key)
      const event = nixBuildEvent(build, action)
      if (event) events.record(event)
    } finally {
      placement.end(key)
    }
  }

  async function writeStatus(
    build: NixBuildView,
    action: Exclude<NixBuildAction, { type: 'none' | 'delete' }>,
  ): Promise<NixBuild | undefined> {
    const { namespace, name, uid, resourceVersion } = build
    const status = action.type === 'report' ? action.patch : statusPatch(build, action, Date.now())
    const object = { namespace, name, body: { metadata: { uid, resourceVersion }, status } }
    return kube.patch(nixBuilds, object, { type: 'merge', subresource: 'status', fieldManager: CONTROLLER })
  }

  return reconcile
}
