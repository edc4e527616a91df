import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { recipeFinder } from '../../recipes/find-recipe.ts'
import { describeDrifted, findDrifted, isNamesake } from '../../recipes/names/drifted-annotations.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { RecipeView } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'

/** An image that a pod requests from its node. */
export type PodImageRequest = AnnotatedRequest | NamedRequest

/** The recipe comes from the pod's annotations. */
interface AnnotatedRequest extends BaseRequest {
  readonly recipe: FlakeRecipe
  readonly named: false
}

/** The recipe comes from a NixBuild for the image's name. */
interface NamedRequest extends BaseRequest {
  readonly recipe: RecipeView
  readonly named: true
}

interface BaseRequest {
  /** The `recipeKey`. */
  readonly key: string
  /** A container of the pod was created from the image, so it is present whatever a NixBuild says. */
  readonly started: boolean
  /** The node's kubelet pulls the image. */
  readonly pulled: boolean
}

/** Why one of a pod's images will not be built. */
export interface Problem {
  /** Reason of the Event. */
  readonly reason: 'NixBuildInvalid' | 'NixBuildUnsupported'
  readonly message: string
}

export interface PodRequests {
  readonly requests: readonly PodImageRequest[]
  readonly problems: readonly Problem[]
}

/** Each problem becomes an Event, and users choose the names of images. */
const MAX_PROBLEMS = 10

/** Limit for recipes from NixBuilds. They are all visited whenever the pod is, and an image may have several. */
const MAX_NAMED = 64

const NOTHING: PodRequests = { requests: [], problems: [] }

/** The recipes that the NixBuilds of the pod's namespace have for an image, by its normalized reference. */
export type NamedRecipes = (reference: string) => readonly RecipeView[]

/**
 * The images that a pod requests from a node of this system. Recipes come from its annotations or, for other images,
 * from NixBuilds of the image's name: a name rule of the node may have created them. Empty if the pod has no node or
 * has ended, or if the node's system is unknown.
 */
export function podRequests(
  pod: PodView,
  system: string | undefined,
  namedRecipes: NamedRecipes = () => [],
): PodRequests {
  if (!pod.living || pod.node === undefined || system === undefined) return NOTHING
  const lookup = { pod, system, findAnnotated: recipeFinder({ annotations: pod.annotations, system }), namedRecipes }
  const requests = new Map<string, PodImageRequest>()
  const problems = new Map<string, Problem>()
  for (const image of pod.images) {
    const found = annotatedRequest(image, lookup) ?? namedRequests(image, lookup)
    if ('message' in found) problems.set(found.message, found)
    // A pod may write one image in two ways.
    else for (const request of found) if (!requests.get(request.key)?.started) requests.set(request.key, request)
  }
  if (requests.size + problems.size === 0) return NOTHING
  return { requests: bounded([...requests.values()]), problems: [...problems.values()].slice(0, MAX_PROBLEMS) }
}

function bounded(requests: readonly PodImageRequest[]): readonly PodImageRequest[] {
  const tooMany = new Set(requests.filter(({ named }) => named).slice(MAX_NAMED))
  return tooMany.size === 0 ? requests : requests.filter(request => !tooMany.has(request))
}

/** Where the recipes of a pod's images come from. */
interface Lookup {
  readonly pod: PodView
  readonly system: string
  readonly findAnnotated: ReturnType<typeof recipeFinder>
  readonly namedRecipes: NamedRecipes
}

function annotatedRequest(
  image: string,
  { pod, system, findAnnotated }: Lookup,
): readonly [PodImageRequest] | Problem | undefined {
  try {
    const recipe = findAnnotated(image)
    if (recipe === undefined) return undefined
    if (recipe.system !== system) return unsupported(recipe, pod, system)
    return [{ key: recipeKey(recipe), recipe, named: false, ...useOf(image, pod) }]
  } catch (error) {
    if (!(error instanceof FinalError)) throw error
    return { reason: 'NixBuildInvalid', message: error.message }
  }
}

function namedRequests(image: string, { pod, system, namedRecipes }: Lookup): readonly PodImageRequest[] {
  const reference = readableReference(image)
  if (reference === undefined) return []
  const recipes = namedRecipes(reference).filter(recipe => recipe.system === system)
  return recipes.map(recipe => ({ key: recipe.key, recipe, named: true, ...useOf(image, pod) }))
}

function useOf(image: string, { startedImages, neverPulled }: PodView): Pick<PodImageRequest, 'started' | 'pulled'> {
  return { started: startedImages.includes(image), pulled: !neverPulled.includes(image) }
}

function unsupported(recipe: FlakeRecipe, { node }: PodView, system: string): Problem {
  return {
    reason: 'NixBuildUnsupported',
    message: `the image ${quote(recipe.image)} is for ${recipe.system}, and node ${node} is ${system}: run the pod on a node of that system, or change its annotation`,
  }
}

/**
 * Why an image of the pod may have no recipe, for people: an annotation names nearly this image, and no image of the
 * pod. Says nothing of an image that a container was created from: wherever it came from, it is there.
 */
export function describeDriftedImages({ annotations, images, startedImages }: PodView): readonly string[] {
  if (images.every(image => startedImages.includes(image))) return []
  return findDrifted(annotations, images)
    .filter(({ image, nearest = '' }) => !startedImages.includes(nearest) && isSimilar(image, nearest))
    .map(describeDrifted)
}

function isSimilar(image: string, written: string): boolean {
  const reference = readableReference(written)
  return reference !== undefined && isNamesake(image, reference)
}
