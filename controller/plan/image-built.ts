import { formatRecipe } from '../../recipes/recipe.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import { isActive, type NodeEntry } from '../views/nixnode.ts'
import type { PodView } from '../views/pod.ts'
import type { PodImageRequest, Problem } from './pod-requests.ts'

/** From worst to best. */
const REASONS = ['Failed', 'Pending', 'Building', 'Importing', 'Built'] as const

/** The pod condition `enbi.hrzn.ee/ImageBuilt`. */
export interface ImageBuilt {
  readonly reason: (typeof REASONS)[number]
  /** For people. It changes only with the reason and the node. */
  readonly message: string
  /** How far the pod's node is. It changes all the time. */
  readonly progress?: string | undefined
}

export interface RequestedBuild {
  readonly request: PodImageRequest
  /** The NixBuild of the recipe, if it exists. */
  readonly build: NixBuildView | undefined
  /** What the pod's node says about the recipe. */
  readonly entry?: NodeEntry | undefined
  /** Why the last attempt to create the NixBuild failed. */
  readonly refused?: string | undefined
}

type ScheduledPod = Pick<PodView, 'node' | 'createdAt' | 'uid'>

export interface ImageFacts {
  readonly requested: readonly RequestedBuild[]
  readonly problems: readonly Problem[]
  /** Why images that are not requested may have no recipe. A registry may still have them. */
  readonly drifted?: readonly string[]
  /** Why the pod's node cannot build; undefined if it can. */
  readonly nodeProblem: string | undefined
  /** The pod's node has more images than its NixNode can list. */
  readonly isNodeFull?: boolean
}

/** The worst state of all images that the pod requests or may have meant to; undefined if there are none. */
export function imageBuilt(
  pod: ScheduledPod,
  { requested, problems, drifted = [], nodeProblem, isNodeFull = false }: ImageFacts,
): ImageBuilt | undefined {
  const states = [
    ...problems.map(({ message }): ImageBuilt => ({ reason: 'Failed', message })),
    ...drifted.map((message): ImageBuilt => ({ reason: 'Pending', message })),
    ...requested.map(each => stateOf(pod, each, { nodeProblem, isNodeFull })),
  ]
  const reason = REASONS.find(reason => states.some(state => state.reason === reason))
  if (reason === undefined) return undefined
  const worst = states.filter(state => state.reason === reason)
  const progress = worst.flatMap(state => state.progress ?? []).join('; ')
  return { reason, message: worst.map(({ message }) => message).join('; '), ...(progress && { progress }) }
}

export function conditionStatus(reason: ImageBuilt['reason']): 'True' | 'False' {
  return reason === 'Built' ? 'True' : 'False'
}

type NodeFacts = Required<Pick<ImageFacts, 'nodeProblem' | 'isNodeFull'>>

/** What the pod's own node says comes first. */
function stateOf(pod: ScheduledPod, requested: RequestedBuild, node: NodeFacts): ImageBuilt {
  const { request, entry } = requested
  const isWaiting = entry !== undefined && isActive(entry) && entry.details.pods.some(({ uid }) => uid === pod.uid)
  // A running pod may pull its image again.
  if (request.started && !isWaiting) return built(requested)
  return entry === undefined ? stateByBuild(pod, requested, node) : stateByNode(pod, requested, entry)
}

function stateByNode(pod: ScheduledPod, requested: RequestedBuild, { state, at, details }: NodeEntry): ImageBuilt {
  const { request, build } = requested
  const { image } = request.recipe
  const { progress, message } = details
  switch (state) {
    case 'Present':
      return built(requested)
    case 'Queued':
      return { reason: 'Pending', message: `${image}: ${message ?? `queued on ${pod.node}`}`, progress }
    case 'Building':
      return { reason: 'Building', message: beingBuilt(requested, ` on ${pod.node}`), progress }
    case 'Importing':
      return { reason: 'Importing', message: `${image}: being loaded on ${pod.node}`, progress }
    case 'Failed': {
      const why = message || 'the build failed'
      if (at * 1000 < pod.createdAt) return anotherAttempt(image, why)
      const isElsewhere = build?.phase === 'Succeeded' && build.buildNode !== pod.node
      const where = isElsewhere ? `built on ${build.buildNode}, but failed on ${pod.node}: ` : ''
      return { reason: 'Failed', message: `${image}: ${where}${why}` }
    }
  }
}

function stateByBuild(
  pod: ScheduledPod,
  requested: RequestedBuild,
  { nodeProblem, isNodeFull }: NodeFacts,
): ImageBuilt {
  const { request, build, refused } = requested
  const { image } = request.recipe
  const because = nodeProblem === undefined ? '' : `: ${nodeProblem}`
  const where = build?.buildNode === undefined ? '' : ` on ${build.buildNode}`
  const isElsewhere = build?.buildNode !== undefined && build.buildNode !== pod.node
  const stays = isElsewhere && because !== '' ? `; ${pod.node} does not get it from there${because}` : ''
  switch (build?.phase) {
    case 'Succeeded':
      return isNodeFull
        ? built(requested)
        : { reason: 'Pending', message: `${image}: built${where}, but ${pod.node} does not have it${because}` }
    case 'Failed':
      return isBefore(build, pod)
        ? anotherAttempt(image, failureOf(build))
        : { reason: 'Failed', message: `${image}: ${failureOf(build)}` }
    case 'Importing':
      return { reason: 'Importing', message: `${image}: being loaded${where}${stays}` }
    case 'Building':
      return { reason: 'Building', message: `${beingBuilt(requested, where)}${stays}` }
    default: {
      const why = build === undefined && refused !== undefined ? `: ${refused}` : because
      return { reason: 'Pending', message: `${image}: the build has not started${why}` }
    }
  }
}

function built({ request }: RequestedBuild): ImageBuilt {
  return { reason: 'Built', message: `${request.recipe.image}: image loaded` }
}

function beingBuilt({ request }: RequestedBuild, where: string): string {
  const recipe = request.named ? request.recipe.text : formatRecipe(request.recipe)
  return `${request.recipe.image}: being built${where} from ${recipe}`
}

function anotherAttempt(image: string, failure: string): ImageBuilt {
  return { reason: 'Pending', message: `${image}: waiting for another attempt; the last one failed: ${failure}` }
}

/** Whether the build ended before the pod was created. */
function isBefore({ finishedAt }: NixBuildView, { createdAt }: ScheduledPod): boolean {
  return finishedAt !== undefined && finishedAt < createdAt
}

function failureOf({ conditions }: NixBuildView): string {
  return conditions.find(({ type }) => type === 'Success')?.message || 'the build failed'
}
