import type { OwnerReference } from '../../kube/resources/metadata.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import { MAX_OWNERS, type NixBuildView } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'
import { conditionStatus, type ImageBuilt, imageBuilt, type RequestedBuild } from './image-built.ts'
import type { ConditionChange } from './pod-report.ts'
import type { Problem } from './pod-requests.ts'
import { describeDriftedImages } from './pod-requests.ts'
import { soonest } from './soonest.ts'

/** In characters. The API server allows 32 KiB, but shorter messages suit `kubectl describe`. */
const MAX_MESSAGE_LENGTH = 1024

export interface PodFacts {
  readonly pod: PodView
  /** If the node is unknown, so are the pod's requests. */
  readonly nodeKnown: boolean
  readonly requested: readonly RequestedBuild[]
  readonly problems: readonly Problem[]
  /** Why the pod's node cannot build; undefined if it can. */
  readonly nodeProblem: string | undefined
  /** The pod's node has more images than its NixNode can list. */
  readonly isNodeFull?: boolean
  /** Whether conditions are written (`--pod-conditions`). */
  readonly writesConditions: boolean
  /** Messages of problems that have been reported, if no condition remembers it. */
  readonly told: ReadonlySet<string>
  /** When the condition was last written. */
  readonly writtenAt: number | undefined
  /** Shortest time between two writes if only the progress has changed, in milliseconds. */
  readonly progressMs: number
  /** Since when the condition is outdated, according to the last plan. */
  readonly differsSince: number | undefined
  readonly now: number
  /** Delay before a state is reported that a better one may soon replace, in milliseconds. `first`: of a pod without a condition. */
  readonly settleMs: Readonly<Record<TransientReason | 'first', number>>
}

/** States that are not final. */
export type TransientReason = Exclude<ImageBuilt['reason'], 'Built' | 'Failed'>

export interface PodPlan {
  /** NixBuilds to create, with their owners. */
  readonly create: readonly { readonly recipe: FlakeRecipe; readonly owners: readonly OwnerReference[] }[]
  /** NixBuilds that get another owner. */
  readonly adopt: readonly { readonly build: NixBuildView; readonly owners: readonly OwnerReference[] }[]
  readonly condition: ConditionChange | 'keep'
  readonly events: readonly Problem[]
  readonly differsSince: number | undefined
  /** When to reconcile again if nothing changes earlier. */
  readonly recheckAt: number | undefined
}

const NOTHING: PodPlan = {
  create: [],
  adopt: [],
  condition: 'keep',
  events: [],
  differsSince: undefined,
  recheckAt: undefined,
}

export function planPod(facts: PodFacts): PodPlan {
  const { pod, requested } = facts
  if (!pod.living || pod.node === undefined || !facts.nodeKnown) return NOTHING
  return {
    ...NOTHING,
    create: missingBuilds(pod, requested),
    adopt: missingOwners(pod, requested),
    ...planTrust(facts),
  }
}

/** An image that is present needs no build. If an image's name is its recipe, only nodes know the recipe. */
function missingBuilds({ owner }: PodView, requested: readonly RequestedBuild[]): PodPlan['create'] {
  const owners = owner ? [ownerOf(owner)] : []
  return requested.flatMap(({ request, build }) =>
    request.named || request.started || build !== undefined ? [] : [{ recipe: request.recipe, owners }],
  )
}

/** NixBuilds made by hand keep their owners: they must not be deleted with a pod's owner. */
function missingOwners({ owner }: PodView, requested: readonly RequestedBuild[]): PodPlan['adopt'] {
  return requested.flatMap(({ build }) => {
    if (!build?.createdForPods || build.deleting) return []
    const owners = withOwner(build.owners, owner)
    return owners === undefined ? [] : [{ build, owners }]
  })
}

/** Adds a pod's owner, such as a ReplicaSet or Job. Undefined if there is nothing to add. */
function withOwner(
  owners: readonly OwnerReference[],
  owner: OwnerReference | undefined,
): readonly OwnerReference[] | undefined {
  if (owner === undefined || owners.length >= MAX_OWNERS) return undefined
  if (owners.some(({ uid }) => uid === owner.uid)) return undefined
  return [...owners, ownerOf(owner)]
}

/** Never a controller reference: a build has several owners, and none of them manages it. */
function ownerOf({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return { apiVersion, kind, name, uid, controller: false }
}

/**
 * A node that has more images than its NixNode can list begins to work for a new pod within this time, in milliseconds,
 * and reports that. Until then, a missing entry says nothing.
 */
const SILENT_MS = 60_000

function planTrust(facts: PodFacts): Partial<PodPlan> {
  const { pod, isNodeFull, now } = facts
  const trustedAt = pod.createdAt + SILENT_MS
  if (!isNodeFull || now >= trustedAt) return planCondition(facts)
  const plan = planCondition({ ...facts, isNodeFull: false })
  return { ...plan, recheckAt: soonest(plan.recheckAt, trustedAt) }
}

function planCondition(facts: PodFacts): Partial<PodPlan> {
  const { pod, problems, now, settleMs, writtenAt, progressMs } = facts
  if (!facts.writesConditions) return { events: problems.filter(({ message }) => !facts.told.has(message)) }
  const target = withProgress(imageBuilt(pod, { ...facts, drifted: describeDriftedImages(pod) }))
  if (target === undefined) return { condition: isOutdated(pod) ? 'remove' : 'keep' }
  if (isUpToDate(pod, target)) return {}
  const differsSince = facts.differsSince ?? now
  if (saysAllBut(pod, target)) {
    const dueAt = (writtenAt ?? differsSince) + progressMs
    return now < dueAt ? { differsSince, recheckAt: dueAt } : { condition: { set: target } }
  }
  const settledAt = isFinal(target.reason) ? now : differsSince + settleMs[pod.condition ? target.reason : 'first']
  if (now < settledAt) return { differsSince, recheckAt: settledAt }
  // The condition remembers that the problems were reported. If its message changes, they are reported again.
  return { condition: { set: target }, events: target.reason === 'Failed' ? problems : [] }
}

function isFinal(reason: ImageBuilt['reason']): reason is 'Built' | 'Failed' {
  return reason === 'Built' || reason === 'Failed'
}

/**
 * Whether the condition no longer applies. A pod without annotations that has its image keeps the condition when the
 * NixBuild is removed.
 */
function isOutdated({ condition, annotations }: PodView): boolean {
  return condition !== undefined && !(condition.status === 'True' && Object.keys(annotations).length === 0)
}

function isUpToDate({ condition }: PodView, { reason, message }: ImageBuilt): boolean {
  return condition?.status === conditionStatus(reason) && condition.reason === reason && condition.message === message
}

/** Whether only the progress differs. */
function saysAllBut({ condition }: PodView, { reason, message, progress }: ImageBuilt): boolean {
  if (condition?.reason !== reason) return false
  const rest = progress === undefined ? message : message.slice(0, -progressText(progress).length)
  return condition.message === rest || condition.message.startsWith(`${rest} (`)
}

/** The message with the progress at its end, if there is room. */
function withProgress(state: ImageBuilt | undefined): ImageBuilt | undefined {
  if (state === undefined) return undefined
  const { reason, message, progress } = state
  if (message.length > MAX_MESSAGE_LENGTH) return { reason, message: shortened(message) }
  const whole = `${message}${progress === undefined ? '' : progressText(progress)}`
  return whole.length > MAX_MESSAGE_LENGTH ? { reason, message } : { ...state, message: whole }
}

function progressText(progress: string): string {
  return ` (${progress})`
}

function shortened(message: string): string {
  const head = Math.floor(MAX_MESSAGE_LENGTH / 4)
  const tail = MAX_MESSAGE_LENGTH - head
  return `${message.slice(0, head)} … ${message.slice(-tail)}`
}
