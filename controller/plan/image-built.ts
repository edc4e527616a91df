import { NIXBUILD_LIMITS } from '../../kube/resources/nixbuild.ts'
import { formatRecipe } from '../../recipes/recipe.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'
import type { PodImageRequest, Problem } from './pod-requests.ts'

/** From worst to best. */
const REASONS = ['Failed', 'Pending', 'Building', 'Importing', 'Built'] as const

/** The pod condition `enbi.hrzn.ee/ImageBuilt`. */
export interface ImageBuilt {
  readonly reason: (typeof REASONS)[number]
  /** For people. It changes only with the reason and the node, so that progress causes no writes. */
  readonly message: string
}

export interface RequestedBuild {
  readonly request: PodImageRequest
  /** The NixBuild of the recipe, if it exists. */
  readonly build: NixBuildView | undefined
  /** Why the last attempt to create the NixBuild failed. */
  readonly refused?: string | undefined
}

type ScheduledPod = Pick<PodView, 'node' | 'createdAt'>

export interface ImageFacts {
  readonly requested: readonly RequestedBuild[]
  readonly problems: readonly Problem[]
  /** Why the pod's node cannot build; undefined if it can. */
  readonly nodeProblem: string | undefined
}

/** The worst state of all images that the pod requests; undefined if it requests none. */
export function imageBuilt(
  pod: ScheduledPod,
  { requested, problems, nodeProblem }: ImageFacts,
): ImageBuilt | undefined {
  const states = [
    ...problems.map(({ message }): ImageBuilt => ({ reason: 'Failed', message })),
    ...requested.map(each => stateOf(pod, each, nodeProblem)),
  ]
  const reason = REASONS.find(reason => states.some(state => state.reason === reason))
  if (reason === undefined) return undefined
  const messages = states.filter(state => state.reason === reason).map(({ message }) => message)
  return { reason, message: messages.join('; ') }
}

export function conditionStatus(reason: ImageBuilt['reason']): 'True' | 'False' {
  return reason === 'Built' ? 'True' : 'False'
}

function stateOf(
  pod: ScheduledPod,
  { request, build, refused }: RequestedBuild,
  nodeProblem: string | undefined,
): ImageBuilt {
  const { image } = request.recipe
  const because = nodeProblem === undefined ? '' : `: ${nodeProblem}`
  const built = { reason: 'Built', message: `${image}: image loaded` } as const
  if (request.started) return built
  const where = build?.buildNode === undefined ? '' : ` on ${build.buildNode}`
  const isElsewhere = build?.buildNode !== undefined && build.buildNode !== pod.node
  const stays = isElsewhere && because !== '' ? `; ${pod.node} does not get it from there${because}` : ''
  switch (build?.phase) {
    case 'Succeeded':
      return hasImage(build, pod)
        ? built
        : { reason: 'Pending', message: `${image}: built${where}, but ${pod.node} does not have it${because}` }
    case 'Failed':
      return isBefore(build, pod)
        ? {
            reason: 'Pending',
            message: `${image}: waiting for another attempt; the last one failed: ${failureOf(build)}`,
          }
        : { reason: 'Failed', message: `${image}: ${failureOf(build)}` }
    case 'Importing':
      return { reason: 'Importing', message: `${image}: being loaded${where}${stays}` }
    case 'Building':
      return {
        reason: 'Building',
        message: `${image}: being built${where} from ${request.named ? request.recipe.text : formatRecipe(request.recipe)}${stays}`,
      }
    default: {
      const why = build === undefined && refused !== undefined ? `: ${refused}` : because
      return { reason: 'Pending', message: `${image}: the build has not started${why}` }
    }
  }
}

/** If the list is full, the node may have the image without being on it. */
function hasImage({ nodes }: NixBuildView, { node }: ScheduledPod): boolean {
  return nodes.length >= NIXBUILD_LIMITS.nodes || nodes.some(({ name }) => name === node)
}

/**
 * Whether the build ended before the pod was created. Both times are of the API server's clock, as nodes' clocks
 * differ.
 */
function isBefore({ writtenAt }: NixBuildView, { createdAt }: ScheduledPod): boolean {
  return writtenAt !== undefined && writtenAt < createdAt
}

function failureOf({ conditions }: NixBuildView): string {
  return conditions.find(({ type }) => type === 'Success')?.message || 'the build failed'
}
