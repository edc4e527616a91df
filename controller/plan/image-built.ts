import { isFinished, NIXBUILD_LIMITS } from '../../kube/resources/nixbuild.ts'
import { formatRecipe } from '../../recipes/recipe.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'
import type { PodImageRequest, Problem } from './pod-requests.ts'

/** From worst to best. */
const REASONS = ['Failed', 'Pending', 'Building', 'Importing', 'Built'] as const

/** The pod condition `enbi.hrzn.ee/ImageBuilt`. It is True if the reason is Built. */
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

type WaitingPod = Pick<PodView, 'node' | 'createdAt'>

export interface ImageFacts {
  readonly requested: readonly RequestedBuild[]
  readonly problems: readonly Problem[]
  /** Why the pod's node cannot build; undefined if it can. */
  readonly nodeProblem: string | undefined
}

/** The worst state of all images that the pod requests; undefined if it requests none. */
export function imageBuilt(pod: WaitingPod, { requested, problems, nodeProblem }: ImageFacts): ImageBuilt | undefined {
  const states = [
    ...problems.map(({ message }): ImageBuilt => ({ reason: 'Failed', message })),
    ...requested.map(each => stateOf(pod, each, nodeProblem)),
  ]
  const reason = REASONS.find(reason => states.some(state => state.reason === reason))
  if (reason === undefined) return undefined
  const messages = states.filter(state => state.reason === reason).map(({ message }) => message)
  return { reason, message: messages.join('; ') }
}

function stateOf(
  pod: WaitingPod,
  { request, build, refused }: RequestedBuild,
  nodeProblem: string | undefined,
): ImageBuilt {
  const { image } = request.recipe
  const because = nodeProblem === undefined ? '' : `: ${nodeProblem}`
  if (request.started) return { reason: 'Built', message: `${image}: image loaded` }
  const where = build?.buildNode === undefined ? '' : ` on ${build.buildNode}`
  switch (build?.phase) {
    case 'Succeeded':
      return hasImage(build, pod)
        ? { reason: 'Built', message: `${image}: image loaded` }
        : { reason: 'Pending', message: `${image}: built${where}, but ${pod.node} does not have it${because}` }
    case 'Failed':
      return isBefore(build, pod)
        ? {
            reason: 'Pending',
            message: `${image}: waiting for another attempt; the last one failed: ${failureOf(build)}`,
          }
        : { reason: 'Failed', message: `${image}: ${failureOf(build)}` }
    case 'Importing':
      return { reason: 'Importing', message: `${image}: being loaded${where}` }
    case 'Building':
      return {
        reason: 'Building',
        message: `${image}: being built${where} from ${request.named ? request.recipe.text : formatRecipe(request.recipe)}`,
      }
    default: {
      const why = build === undefined && refused !== undefined ? `: ${refused}` : because
      return { reason: 'Pending', message: `${image}: the build has not started${why}` }
    }
  }
}

/** If the list is full, the node may have the image without being on it. */
function hasImage({ nodes }: NixBuildView, { node }: WaitingPod): boolean {
  return nodes.length >= NIXBUILD_LIMITS.nodes || nodes.some(({ name }) => name === node)
}

/**
 * Whether the build ended before the pod was created. Both times are of the API server's clock, as nodes' clocks
 * differ.
 */
function isBefore({ writtenAt }: NixBuildView, { createdAt }: WaitingPod): boolean {
  return writtenAt !== undefined && writtenAt < createdAt
}

function failureOf({ conditions }: NixBuildView): string {
  return conditions.find(({ type }) => type === 'Success')?.message || 'the build failed'
}

/**
 * The builds that a pod's condition reports. If an image's name is its recipe, it may have NixBuilds of several
 * recipes, such as that of yesterday's rule. Of these the pod reports the one that is being built, or else the
 * furthest. A shim can create any NixBuild, so those of shims count only if the pod's node builds or has the image.
 */
export function reportedBuilds(requested: readonly RequestedBuild[], node: string | undefined): RequestedBuild[] {
  const annotated = requested.filter(({ request }) => !request.named)
  const named = requested.filter(
    ({ request, build }) => request.named && build !== undefined && isReportedOn(build, node),
  )
  const byImage = Map.groupBy(named, ({ request }) => request.recipe.image)
  return [...annotated, ...[...byImage.values()].flatMap(each => reportedNamedBuild(each) ?? [])]
}

function isReportedOn(build: NixBuildView, node: string | undefined): boolean {
  return build.createdBy !== 'shim' || build.buildNode === node || build.nodes.some(({ name }) => name === node)
}

function reportedNamedBuild(named: readonly RequestedBuild[]): RequestedBuild | undefined {
  const builds = named.flatMap(({ build }) => build ?? [])
  const best = builds.find(build => rank(build) === AT_WORK) ?? furthestBuild(builds)
  return named.find(({ build }) => build !== undefined && build === best)
}

/** Of several NixBuilds of one recipe, the one that has got furthest. */
export function furthestBuild(builds: readonly NixBuildView[]): NixBuildView | undefined {
  const order = (build: NixBuildView) => [rank(build), build.createdAt] as const
  return builds.toSorted((a, b) => {
    const [[rankA, timeA], [rankB, timeB]] = [order(a), order(b)]
    return rankB - rankA || timeA - timeB || a.name.localeCompare(b.name)
  })[0]
}

/** Rank of a build that a node works on. */
const AT_WORK = 2

function rank(build: NixBuildView): number {
  if (build.deleting) return -1
  return isFinished(build.phase)
    ? build.phase === 'Succeeded'
      ? 3
      : 0
    : build.phase === undefined || build.phase === 'Pending'
      ? 1
      : AT_WORK
}
