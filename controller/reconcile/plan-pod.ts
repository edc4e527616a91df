import type { Condition } from '../../kube/resources/condition.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { time } from '../../kube/resources/time.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import type { BuildView } from '../views/nixbuild.ts'
import { ownerOf, withOwner } from '../views/owners.ts'
import type { PodView } from '../views/pod.ts'
import { type ImageBuilt, imageBuilt, type WantedBuild } from './image-built.ts'
import type { Problem } from './pod-wants.ts'

/** Of the API server: 32 KiB in all for a condition's message. kubectl describe and a person want less. */
const MAX_MESSAGE_LENGTH = 1024

export interface PodFacts {
  readonly pod: PodView
  /** Whether the node is known: without it nobody knows what the pod wants. */
  readonly nodeKnown: boolean
  readonly wanted: readonly WantedBuild[]
  readonly problems: readonly Problem[]
  /** Why the pod's node cannot build; undefined when it can. */
  readonly loss: string | undefined
  /** Since when the condition has been another than it should be, as the last plan said. */
  readonly differsSince: number | undefined
  readonly now: number
  /** How long a pod waits to be told of a state that a better one may follow soon, in milliseconds. */
  readonly settleMs: Readonly<Record<Passing, number>>
}

/** States that are followed by another. */
export type Passing = Exclude<ImageBuilt['reason'], 'Built' | 'Failed'>

export interface PodPlan {
  /** NixBuilds to be made, with their owner. */
  readonly create: readonly { readonly recipe: FlakeRecipe; readonly owners: readonly OwnerReference[] }[]
  /** NixBuilds that get another owner. */
  readonly own: readonly { readonly build: BuildView; readonly owners: readonly OwnerReference[] }[]
  readonly condition: { readonly set: ImageBuilt } | 'remove' | 'keep'
  readonly events: readonly Problem[]
  readonly differsSince: number | undefined
  /** When to look again, if nothing happens before. */
  readonly recheckAt: number | undefined
}

const NOTHING: PodPlan = {
  create: [],
  own: [],
  condition: 'keep',
  events: [],
  differsSince: undefined,
  recheckAt: undefined,
}

export function planPod(facts: PodFacts): PodPlan {
  const { pod, wanted } = facts
  if (!pod.living || pod.node === undefined || !facts.nodeKnown) return NOTHING
  return { ...NOTHING, create: missingBuilds(pod, wanted), own: missingOwners(pod, wanted), ...planCondition(facts) }
}

/** An image that is there already needs no build. What a name stands for, only nodes know. */
function missingBuilds({ owner }: PodView, wanted: readonly WantedBuild[]): PodPlan['create'] {
  const owners = owner ? [ownerOf(owner)] : []
  return wanted.flatMap(({ want, build }) =>
    want.named || want.started || build !== undefined ? [] : [{ recipe: want.recipe, owners }],
  )
}

/** What was made by hand is its maker's, and does not go with a pod's owner. */
function missingOwners({ owner }: PodView, wanted: readonly WantedBuild[]): PodPlan['own'] {
  return wanted.flatMap(({ build }) => {
    if (!build?.managed || build.deleting) return []
    const owners = withOwner(build.owners, owner)
    return owners === undefined ? [] : [{ build, owners }]
  })
}

function planCondition(facts: PodFacts): Partial<PodPlan> {
  const { pod, problems, now, settleMs } = facts
  const should = shortened(imageBuilt(pod, facts))
  if (should === undefined) return { condition: isLeftToTell(pod) ? 'remove' : 'keep' }
  if (isAsItShould(pod, should)) return {}
  const differsSince = facts.differsSince ?? now
  const settledAt =
    should.reason === 'Built' || should.reason === 'Failed' ? now : differsSince + settleMs[should.reason]
  if (now < settledAt) return { differsSince, recheckAt: settledAt }
  // Told once: the condition is the memory of it.
  return { condition: { set: should }, events: should.reason === 'Failed' ? problems : [] }
}

/** Whether the pod says of an image what is not so any more. One without annotations that has its image keeps it when the NixBuild goes. */
function isLeftToTell({ condition, annotations }: PodView): boolean {
  return condition !== undefined && !(condition.status === 'True' && Object.keys(annotations).length === 0)
}

function isAsItShould({ condition }: PodView, { reason, message }: ImageBuilt): boolean {
  return condition?.status === statusOf(reason) && condition.reason === reason && condition.message === message
}

export function statusOf(reason: ImageBuilt['reason']): 'True' | 'False' {
  return reason === 'Built' ? 'True' : 'False'
}

function shortened(state: ImageBuilt | undefined): ImageBuilt | undefined {
  if (state === undefined || state.message.length <= MAX_MESSAGE_LENGTH) return state
  const head = Math.floor(MAX_MESSAGE_LENGTH / 4)
  const tail = MAX_MESSAGE_LENGTH - head
  return { ...state, message: `${state.message.slice(0, head)} … ${state.message.slice(-tail)}` }
}

/** Strategic merge patch of just this condition, of just this pod; the kubelet's own stay as they are. */
export function podPatch(pod: PodView, change: Exclude<PodPlan['condition'], 'keep'>, now: number): object {
  return { metadata: { uid: pod.uid }, status: { conditions: [conditionPatch(pod, change, now)] } }
}

function conditionPatch(pod: PodView, change: Exclude<PodPlan['condition'], 'keep'>, now: number): object {
  if (change === 'remove') return { $patch: 'delete', type: IMAGE_BUILT_CONDITION }
  const { reason, message } = change.set
  const status = statusOf(reason)
  const before = pod.condition?.status === status ? pod.condition.lastTransitionTime : undefined
  const lastTransitionTime = before ?? time(now)
  return { type: IMAGE_BUILT_CONDITION, status, reason, message, lastTransitionTime } satisfies Condition
}
