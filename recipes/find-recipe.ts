import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import { type AnnotationGroup, annotationName, groupAnnotations, type RecipeKeyName } from './annotations.ts'
import { readContents } from './contents.ts'
import { parseFlakeUrl } from './flake-url.ts'
import { parsePackageName } from './package-name.ts'
import { type FlakeRecipe, recipeKey } from './recipe.ts'
import { normalizeFlakeImage, normalizeReference, readableReference } from './reference.ts'
import { parseSystem } from './system.ts'

export interface RecipeQuery {
  /** As in the kubelet's request; it need not be normalized. */
  readonly image: string
  /** Annotations of the pod, merged from the sandbox config and the image spec. */
  readonly annotations: Readonly<Record<string, string>>
  /** Nix system of this node: the default for recipes without one. */
  readonly system: string
}

/** More than any pod needs: all annotations of a pod are read together. */
const MAX_GROUPS = 64

/**
 * The recipe that the annotations give for the image. Undefined if there are no annotations, or only for other images.
 *
 * Throws RecipeIncomplete or RecipeInvalid for half a recipe, RecipeInvalid for annotations of more than 64 images, and
 * RecipeConflict for two recipes of one image. If a group of annotations does not say which image it is for, images
 * that no other group names fail, too: a registry could answer for them with a stranger's image.
 */
export function findRecipe({ image, ...query }: RecipeQuery): FlakeRecipe | undefined {
  return recipeFinder(query)(image)
}

/** `findRecipe` for all images of one pod: reads the annotations once. */
export function recipeFinder({
  annotations,
  system,
}: Omit<RecipeQuery, 'image'>): (image: string) => FlakeRecipe | undefined {
  const groups = groupAnnotations(annotations)
  if (groups.length === 0) return () => undefined
  if (groups.length > MAX_GROUPS) return () => throwTooMany(groups.length)
  const byReference = Map.groupBy(groups, referenceOf)
  const [unreadable] = byReference.get(undefined) ?? []
  return image => {
    // Annotations cannot name an unreadable reference; containerd may still understand it.
    const reference = readableReference(image)
    const matching = reference === undefined ? undefined : byReference.get(reference)
    if (reference !== undefined && matching)
      return requireOneRecipe(matching.map(group => ({ group, recipe: readRecipe(group, reference, system) })))
    if (unreadable) requireReadableImageTag(unreadable)
    return undefined
  }
}

/** Every recipe that the annotations of a pod give, whatever its images. Leaves out those that `findRecipe` throws for. */
export function annotatedRecipes(query: Omit<RecipeQuery, 'image'>): FlakeRecipe[] {
  const find = recipeFinder(query)
  const groups = groupAnnotations(query.annotations).slice(0, MAX_GROUPS + 1)
  const images = new Set(groups.map(referenceOf).filter(image => image !== undefined))
  return [...images].flatMap(image => {
    try {
      return find(image) ?? []
    } catch (error) {
      if (error instanceof FinalError) return []
      throw error
    }
  })
}

function throwTooMany(count: number): never {
  throw new FinalError(
    'RecipeInvalid',
    `the pod's annotations name ${count} images, and ${MAX_GROUPS} is the limit: use fewer suffixes`,
  )
}

function referenceOf({ values }: AnnotationGroup): string | undefined {
  // If no other group names the image, requireReadableImageTag reports the unreadable ones.
  return values.imageTag === undefined ? undefined : readableReference(values.imageTag)
}

function requireReadableImageTag(group: AnnotationGroup): void {
  parseAnnotation('imageTag', group, normalizeReference)
}

function readRecipe(group: AnnotationGroup, image: string, hostSystem: string): FlakeRecipe {
  parseAnnotation('imageTag', group, normalizeFlakeImage)
  const flake = parseAnnotation('flakeUrl', group, parseFlakeUrl)
  const system = group.values.system === undefined ? undefined : parseAnnotation('system', group, parseSystem)
  return { image, flake, ...readPackages(group, system, hostSystem) }
}

function readPackages(group: AnnotationGroup, system: string | undefined, hostSystem: string) {
  const { suffix, values } = group
  const keys = (['packageName', 'contents'] as const).filter(key => values[key])
  const [one, two] = [annotationName('packageName', suffix), annotationName('contents', suffix)].map(quote)
  if (keys.length > 1)
    throw new FinalError(
      'RecipeInvalid',
      `the pod has both annotations ${one} and ${two}: a recipe may have only one of them`,
    )
  if (keys.length === 0)
    throw new FinalError(
      'RecipeIncomplete',
      `the pod's annotations ${one} and ${two} are missing or empty: the recipe needs one of the two, with the same suffix as flakeUrl and imageTag`,
    )
  if (keys[0] === 'contents') return parseAnnotation('contents', group, text => readContents(text, system, hostSystem))
  return { packageName: parseAnnotation('packageName', group, parsePackageName).text, system: system ?? hostSystem }
}

/** Parses one annotation of the group. Its errors name the annotation. */
function parseAnnotation<T>(key: RecipeKeyName, { suffix, values }: AnnotationGroup, parse: (text: string) => T): T {
  const name = annotationName(key, suffix)
  const value = values[key]
  if (value === undefined || value === '')
    throw new FinalError(
      'RecipeIncomplete',
      `the pod's annotation ${quote(name)} is missing or empty; the recipe needs flakeUrl, imageTag and packageName or contents, each with the same suffix`,
    )
  try {
    return parse(value)
  } catch (cause) {
    if (!(cause instanceof FinalError)) throw cause
    throw new FinalError('RecipeInvalid', `the pod's annotation ${quote(name)} is invalid: ${cause.message}`, { cause })
  }
}

function requireOneRecipe(
  recipes: readonly { group: AnnotationGroup; recipe: FlakeRecipe }[],
): FlakeRecipe | undefined {
  const [first, ...others] = recipes
  const other = first && others.find(({ recipe }) => recipeKey(recipe) !== recipeKey(first.recipe))
  if (first && other) {
    const [one, two] = [first, other].map(({ group }) => quote(annotationName('imageTag', group.suffix)))
    throw new FinalError(
      'RecipeConflict',
      `the pod's annotations ${one} and ${two} name one image, ${first.recipe.image}, with different recipes`,
    )
  }
  return first?.recipe
}
