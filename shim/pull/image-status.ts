import type { Logger } from 'pino'
import { FinalError } from '../../lib/errors.ts'
import { findRecipe, type RecipeQuery } from '../../recipes/find-recipe.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import { decodeImageStatus, IMAGE_SERVICE } from '../wire/cri.ts'
import type { ImageRecords } from './contract.ts'
import { findRecord, isAsWritten, presentId, RECIPE_LABEL } from './image-of-recipe.ts'
import type { RecipeFilter } from './recipe-filter.ts'

export interface ImageStatusParts {
  readonly names: Names
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  readonly filter: Pick<RecipeFilter, 'mayHaveOtherRecipe'>
  readonly logger: Logger
}

/**
 * Answers "not present" to the ImageStatus that precedes a pull, unless the image on the node is usable and was made from exactly
 * the recipe that the pod asks for: `IfNotPresent` never runs the image of another recipe. An image with half a recipe is also
 * "not present", so that the pull that follows reports the error.
 */
export function interceptImageStatus(parts: ImageStatusParts): UnaryInterceptor {
  return async ({ request, signal }) => {
    const query = { ...decodeImageStatus(request), system: parts.system }
    const recipe = readRecipe(parts, query)
    const isPresent =
      recipe === 'none'
        ? !(parts.filter.mayHaveOtherRecipe(request) && (await isDamaged(parts, query.image)))
        : recipe !== 'broken' && (await isThere(parts, recipe, signal))
    return isPresent ? { kind: 'forward' } : { kind: 'reply', message: ABSENT }
  }
}

/** CRI's "no such image": an answer without one. */
const ABSENT = IMAGE_SERVICE.ImageStatus.responseSerialize({})

function readRecipe({ names, logger }: ImageStatusParts, query: RecipeQuery): Recipe | 'none' | 'broken' {
  try {
    return findRecipe(query) ?? names.recipeOf(query.image) ?? 'none'
  } catch (err) {
    if (!(err instanceof FinalError)) throw err
    logger.debug({ err }, 'image status with half a recipe')
    return 'broken'
  }
}

/**
 * Whether the shim made the image and containers cannot be made from it. Its recipe may be a store path or a NixBuild, which
 * only a pull can look up. Whether other images are usable is up to containerd.
 */
async function isDamaged(parts: ImageStatusParts, image: string): Promise<boolean> {
  const reference = readableReference(image)
  if (reference === undefined) return false
  const images = await parts.images()
  const record = await images.find(reference).catch(() => undefined)
  if (record?.labels[RECIPE_LABEL] === undefined) return false
  const [present, isUsable] = await Promise.all([images.present(reference), images.usable(record)])
  return !isUsable && isAsWritten(record, present)
}

async function isThere(parts: ImageStatusParts, recipe: Recipe, signal: AbortSignal): Promise<boolean> {
  const images = await parts.images()
  const record = await findRecord(images, recipe.image, signal)
  return (await presentId(images, record, { recipe, signal })) !== undefined
}
