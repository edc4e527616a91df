import type { Kube } from '../../kube/client/contract.ts'
import type { EventRecorder } from '../../kube/event-recorder.ts'
import { CONTROLLER, NODE_LABEL, nodeLabelValue } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { statusPatch } from '../reconcile/build-status.ts'
import { chooseNode } from '../reconcile/choose-node.ts'
import { lossOf, silenceOf } from '../reconcile/node-state.ts'
import {
  type BuildAction,
  type BuildLimits,
  type BuildMemory,
  type BuildPlan,
  planBuild,
} from '../reconcile/plan-build.ts'
import type { Want } from '../reconcile/pod-wants.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { wantId } from '../state/wants-index.ts'
import { type BuildView, buildView, isFinished } from '../views/nixbuild.ts'
import { buildEvent } from './build-event.ts'
import { createImagesInUse } from './images-in-use.ts'
import type { Reconciler } from './pod-reconciler.ts'

/** When a build is looked at again that pods want which are not watched, in milliseconds: those that started without it long ago. */
const UNWATCHED_USE_MS = 60_000
/** Short, as a pod may just have come, but a thousand builds that nobody wants are not a thousand lists of all pods. */
const UNWATCHED_ABSENCE_MS = 5_000

export interface NixBuildReconcilerPlan {
  readonly state: Pick<ClusterState, 'pods' | 'builds' | 'nodes'>
  readonly kube: Pick<Kube, 'list' | 'patch' | 'delete'>
  readonly events: Pick<EventRecorder, 'record'>
  readonly limits: BuildLimits
}

export function createNixBuildReconciler({ state, kube, events, limits }: NixBuildReconcilerPlan): Reconciler {
  const memories = new Map<string, { readonly uid: string; readonly memory: BuildMemory }>()
  /** Nodes that builds are being given to right now: they count as busy with them. */
  const giving = new Map<string, string>()
  const inUse = createImagesInUse({ kube, believeMs: UNWATCHED_USE_MS, believeAbsentMs: UNWATCHED_ABSENCE_MS })

  async function work(key: string): Promise<number | undefined> {
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
    return soonest(plan.recheckAt, isFinished(build) ? undefined : silentAt(build))
  }

  function planOf(key: string, build: BuildView): BuildPlan {
    const last = memories.get(key)
    const wanting = podsWanting(build)
    const waiting = [...wanting].flatMap(([pod, { started }]) => (started ? [] : pod))
    return planBuild({
      build,
      wantingPods: wanting.size,
      waitingPods: waiting.length,
      pullingPods: build.managed ? 0 : waiting.filter(pod => wanting.get(pod)?.pulled && isOnGoodNode(pod)).length,
      assignedNode:
        build.assignedTo === undefined ? undefined : (state.nodes.named(build.assignedTo) ?? build.assignedTo),
      lossOf: node => lossOf(node, state.nodes.state(node)),
      silenceOf: node => silenceOf(node, state.nodes.state(node)),
      isPulledOn: node => [...wanting.keys()].some(pod => state.pods.get(pod)?.node === node),
      nodeExists: state.nodes.has,
      chooseNode: () => chooseNode(state.nodes.states(), { system: build.system, countRunning }),
      memory: last?.uid === build.uid ? last.memory : {},
      limits,
      now: Date.now(),
    })
  }

  function podsWanting({ namespace, recipe }: BuildView): ReadonlyMap<string, Want> {
    return 'key' in recipe ? state.pods.podsWanting(wantId(namespace, recipe.key)) : new Map()
  }

  /** One that has started may pull its image again, and is not watched if it never waited for a NixBuild. */
  async function isUsed({ namespace, recipe }: BuildView): Promise<boolean> {
    return 'image' in recipe && (await inUse(namespace, [recipe.image])).has(recipe.image)
  }

  function isOnGoodNode(podKey: string): boolean {
    const node = state.pods.get(podKey)?.node
    return node !== undefined && lossOf(node, state.nodes.state(node)) === undefined
  }

  function nodeOf({ buildNode, assignedTo }: BuildView): string | undefined {
    return buildNode ?? (assignedTo === undefined ? undefined : state.nodes.named(assignedTo))
  }

  function countRunning(): (node: string) => number {
    const counts = new Map<string, number>()
    const nodes = state.builds.unfinished().map(build => nodeOf(build))
    for (const node of [...nodes, ...giving.values()]) {
      if (node !== undefined) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
    return node => counts.get(node) ?? 0
  }

  /** When the shim that has the build would be silent. */
  function silentAt(build: BuildView): number | undefined {
    const node = nodeOf(build)
    const aliveUntil = node === undefined ? undefined : state.nodes.aliveUntil(node)
    return aliveUntil !== undefined && aliveUntil > Date.now() ? aliveUntil + 1 : undefined
  }

  async function perform(key: string, build: BuildView, action: BuildAction): Promise<void> {
    if (action.type === 'none') return
    const { namespace, name, uid, resourceVersion } = build
    if (action.type === 'delete') return kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
    if (action.type === 'give') giving.set(key, action.node)
    try {
      // The status first: a node that is given a build claims it at once, unless another seems to have it.
      const body = { metadata: { uid, resourceVersion }, status: statusPatch(build, action, Date.now()) }
      const written = await patch(build, body, 'status')
      const label = action.type === 'give' ? nodeLabelValue(action.node) : undefined
      if (written && action.type !== 'prune' && action.type !== 'fail') await setLabel(written, label)
      const event = buildEvent(build, action)
      if (event) events.record(event)
    } finally {
      giving.delete(key)
    }
  }

  async function setLabel(build: BuildView, value: string | undefined): Promise<void> {
    if (build.assignedTo === value) return
    const { uid, resourceVersion } = build
    await patch(build, { metadata: { uid, resourceVersion, labels: { [NODE_LABEL]: value ?? null } } })
  }

  async function patch(
    { namespace, name }: BuildView,
    body: object,
    subresource?: 'status',
  ): Promise<BuildView | undefined> {
    const options = { type: 'merge', fieldManager: CONTROLLER, ...(subresource && { subresource }) } as const
    const answer = await kube.patch(nixBuilds, { namespace, name, body }, options)
    const written = answer && buildView(answer)
    if (written) state.builds.wrote(written)
    return written
  }

  return work
}

function soonest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter(time => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
