import { NIXBUILD_LIMITS } from '../../kube/resources/nixbuild.ts'
import { formatRecipe } from '../../recipes/recipe.ts'
import { type BuildView, isFinished } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'
import type { Problem, Want } from './pod-wants.ts'

/** From the worst to the best. */
const REASONS = ['Failed', 'Pending', 'Building', 'Importing', 'Built'] as const

/** The pod condition `enbi.hrzn.ee/ImageBuilt`: True when the reason is Built. */
export interface ImageBuilt {
  readonly reason: (typeof REASONS)[number]
  /** For a person. It changes with the reason and the node only, so that progress costs no write. */
  readonly message: string
}

export interface WantedBuild {
  readonly want: Want
  /** The NixBuild of that recipe, if there is one by now. */
  readonly build: BuildView | undefined
  /** Why it could not be made when that was tried last. */
  readonly refused?: string | undefined
}

type WaitingPod = Pick<PodView, 'node' | 'createdAt'>

export interface ImageFacts {
  readonly wanted: readonly WantedBuild[]
  readonly problems: readonly Problem[]
  /** Why the pod's node cannot build; undefined when it can. */
  readonly loss: string | undefined
}

/** The worst state of all that the pod wants; undefined when it wants nothing. */
export function imageBuilt(pod: WaitingPod, { wanted, problems, loss }: ImageFacts): ImageBuilt | undefined {
  const states = [
    ...problems.map(({ message }): ImageBuilt => ({ reason: 'Failed', message })),
    ...wanted.map(each => stateOf(pod, each, loss)),
  ]
  const reason = REASONS.find(reason => states.some(state => state.reason === reason))
  if (reason === undefined) return undefined
  const messages = states.filter(state => state.reason === reason).map(({ message }) => message)
  return { reason, message: messages.join('; ') }
}

function stateOf(pod: WaitingPod, { want, build, refused }: WantedBuild, loss: string | undefined): ImageBuilt {
  const { image } = want.recipe
  const because = loss === undefined ? '' : `: ${loss}`
  if (want.started) return { reason: 'Built', message: `${image}: image loaded` }
  const where = build?.buildNode === undefined ? '' : ` on ${build.buildNode}`
  switch (build?.phase) {
    case 'Succeeded':
      return hasImage(build, pod)
        ? { reason: 'Built', message: `${image}: image loaded` }
        : { reason: 'Pending', message: `${image}: built${where}, and ${pod.node} does not have it${because}` }
    case 'Failed':
      return isBefore(build, pod)
        ? { reason: 'Pending', message: `${image}: waiting for another try; the last one: ${failureOf(build)}` }
        : { reason: 'Failed', message: `${image}: ${failureOf(build)}` }
    case 'Importing':
      return { reason: 'Importing', message: `${image}: being loaded${where}` }
    case 'Building':
      return {
        reason: 'Building',
        message: `${image}: being built${where} from ${want.named ? want.recipe.text : formatRecipe(want.recipe)}`,
      }
    default: {
      const why = build === undefined && refused !== undefined ? `: ${refused}` : because
      return { reason: 'Pending', message: `${image}: the build has not begun${why}` }
    }
  }
}

/** One that is there when the list is full is not on it. */
function hasImage({ nodes }: BuildView, { node }: WaitingPod): boolean {
  return nodes.length >= NIXBUILD_LIMITS.nodes || nodes.some(({ name }) => name === node)
}

/** Whether it ended before there was the pod, by one clock: those of nodes differ. */
function isBefore({ writtenAt }: BuildView, { createdAt }: WaitingPod): boolean {
  return writtenAt !== undefined && writtenAt < createdAt
}

function failureOf({ conditions }: BuildView): string {
  return conditions.find(({ type }) => type === 'Success')?.message || 'the build failed'
}

/**
 * What a pod on that node is told of. An image whose name is the recipe may have NixBuilds of several recipes, such as one of
 * yesterday's rule: of them it is what is being built, or else whichever got the furthest. A shim may make any NixBuild, so those that
 * shims made are told only where the node itself says that it builds or has the image.
 */
export function theOnesToTell(wanted: readonly WantedBuild[], node: string | undefined): WantedBuild[] {
  const annotated = wanted.filter(({ want }) => !want.named)
  const named = wanted.filter(({ want, build }) => want.named && build !== undefined && isToldOn(build, node))
  const byImage = Map.groupBy(named, ({ want }) => want.recipe.image)
  return [...annotated, ...[...byImage.values()].flatMap(each => theNamedToTell(each) ?? [])]
}

function isToldOn(build: BuildView, node: string | undefined): boolean {
  return build.madeBy !== 'shim' || build.buildNode === node || build.nodes.some(({ name }) => name === node)
}

function theNamedToTell(named: readonly WantedBuild[]): WantedBuild | undefined {
  const builds = named.flatMap(({ build }) => build ?? [])
  const best = builds.find(build => rank(build) === AT_WORK) ?? theOneToTell(builds)
  return named.find(({ build }) => build !== undefined && build === best)
}

/** Of several NixBuilds of one recipe the one that is told of: whichever got the furthest. */
export function theOneToTell(builds: readonly BuildView[]): BuildView | undefined {
  const order = (build: BuildView) => [rank(build), build.createdAt] as const
  return builds.toSorted((a, b) => {
    const [[rankA, timeA], [rankB, timeB]] = [order(a), order(b)]
    return rankB - rankA || timeA - timeB || a.name.localeCompare(b.name)
  })[0]
}

/** Rank of what a node works on. */
const AT_WORK = 2

function rank(build: BuildView): number {
  if (build.deleting) return -1
  return isFinished(build)
    ? build.phase === 'Succeeded'
      ? 3
      : 0
    : build.phase === undefined || build.phase === 'Pending'
      ? 1
      : AT_WORK
}
