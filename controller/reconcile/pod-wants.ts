import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { recipeFinder } from '../../recipes/find-recipe.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { RecipeView } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'

/** One image that a pod wants built on its node. */
export type Want = AnnotatedWant | NamedWant

/** The pod's annotations say what it is. */
interface AnnotatedWant extends AnyWant {
  readonly recipe: FlakeRecipe
  readonly named: false
}

/** A NixBuild says what it is. */
interface NamedWant extends AnyWant {
  readonly recipe: RecipeView
  readonly named: true
}

interface AnyWant {
  /** The `recipeKey`. */
  readonly key: string
  /** A container of the pod was made from it: it is there, whatever a NixBuild says. */
  readonly started: boolean
  /** The node's kubelet pulls it. */
  readonly pulled: boolean
}

/** Why one of a pod's images will not be built. */
export interface Problem {
  /** Of the Event. */
  readonly reason: 'NixBuildInvalid' | 'NixBuildUnsupported'
  readonly message: string
}

export interface PodWants {
  readonly wants: readonly Want[]
  readonly problems: readonly Problem[]
}

/** Each of them is an Event, and images are named without any check. */
const MAX_PROBLEMS = 10

/** Of what NixBuilds say: each is looked at whenever the pod is, and an image may have several. */
const MAX_NAMED = 64

const NOTHING: PodWants = { wants: [], problems: [] }

/** The recipes that the NixBuilds of the pod's namespace have for an image, by its normalised reference. */
export type NamedRecipes = (reference: string) => readonly RecipeView[]

/**
 * What a pod on a node of that system asks for: by its annotations, or else by the name of an image, which a rule of its node may
 * have made a NixBuild of. Nothing when it has no node, or an end.
 */
export function podWants(pod: PodView, system: string | undefined, namedRecipes: NamedRecipes = () => []): PodWants {
  if (!pod.living || pod.node === undefined || system === undefined) return NOTHING
  const find = recipeFinder({ annotations: pod.annotations, system })
  const wants = new Map<string, Want>()
  const problems = new Map<string, Problem>()
  for (const image of pod.images) {
    const found = annotated(image, { pod, system, find }) ?? named(image, { pod, system, namedRecipes })
    if ('message' in found) problems.set(found.message, found)
    // Two spellings of one image.
    else for (const want of found) if (!wants.get(want.key)?.started) wants.set(want.key, want)
  }
  if (wants.size + problems.size === 0) return NOTHING
  return { wants: bounded([...wants.values()]), problems: [...problems.values()].slice(0, MAX_PROBLEMS) }
}

function bounded(wants: readonly Want[]): readonly Want[] {
  const tooMany = new Set(wants.filter(({ named }) => named).slice(MAX_NAMED))
  return tooMany.size === 0 ? wants : wants.filter(want => !tooMany.has(want))
}

interface Reading {
  readonly pod: PodView
  readonly system: string
}

type Annotations = Reading & { readonly find: ReturnType<typeof recipeFinder> }

function annotated(image: string, { pod, system, find }: Annotations): readonly [Want] | Problem | undefined {
  try {
    const recipe = find(image)
    if (recipe === undefined) return undefined
    if (recipe.system !== system) return unsupported(recipe, pod, system)
    return [{ key: recipeKey(recipe), recipe, named: false, ...useOf(image, pod) }]
  } catch (error) {
    if (!(error instanceof FinalError)) throw error
    return { reason: 'NixBuildInvalid', message: error.message }
  }
}

type Names = Reading & { readonly namedRecipes: NamedRecipes }

function named(image: string, { pod, system, namedRecipes }: Names): readonly Want[] {
  const reference = readableReference(image)
  if (reference === undefined) return []
  const recipes = namedRecipes(reference).filter(recipe => recipe.system === system)
  return recipes.map(recipe => ({ key: recipe.key, recipe, named: true, ...useOf(image, pod) }))
}

function useOf(image: string, { startedImages, neverPulled }: PodView): Pick<Want, 'started' | 'pulled'> {
  return { started: startedImages.includes(image), pulled: !neverPulled.includes(image) }
}

function unsupported(recipe: FlakeRecipe, { node }: PodView, system: string): Problem {
  return {
    reason: 'NixBuildUnsupported',
    message: `the image ${quote(recipe.image)} is for ${recipe.system}, and node ${node} is ${system}: let the pod run on a node of that system, or change its annotation`,
  }
}
