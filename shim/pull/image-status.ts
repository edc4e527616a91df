import type { Logger } from 'pino'
import { FinalError } from '../../lib/errors.ts'
import { findRecipe, type RecipeQuery } from '../../recipes/find-recipe.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import { decodeImageStatus, IMAGE_SERVICE } from '../wire/cri.ts'
import type { ImageRecords, IsOutdated } from './contract.ts'
import { findPresence, findRecord, isAsWritten, RECIPE_LABEL, UNUSABLE } from './image-of-recipe.ts'
import type { RecipeFilter } from './recipe-filter.ts'

export interface ImageStatusParts {
  readonly names: Names
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  readonly filter: Pick<RecipeFilter, 'mayHaveOtherRecipe'>
  /** Missing without a cluster. */
  readonly isOutdated: IsOutdated | undefined
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
    const absent =
      recipe === 'none'
        ? parts.filter.mayHaveOtherRecipe(request) && (await judgeWithoutRecipe(parts, query.image))
        : recipe === 'broken'
          ? 'its recipe is not valid'
          : await judge(parts, recipe, signal)
    if (!absent) return { kind: 'forward' }
    parts.logger.debug({ image: query.image, why: absent }, 'an image counts as not present')
    return { kind: 'reply', message: ABSENT }
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
 * Why an image that a shim made counts as not present for a pod without a recipe: it is damaged, or its NixBuild has another
 * recipe now. Which recipe the pod has, a store path or a NixBuild, only a pull can look up. Other images are up to containerd.
 */
async function judgeWithoutRecipe(parts: ImageStatusParts, image: string): Promise<string | undefined> {
  const reference = readableReference(image)
  if (reference === undefined) return undefined
  const images = await parts.images()
  const record = await images.find(reference).catch(() => undefined)
  const recipe = record?.labels[RECIPE_LABEL]
  if (record === undefined || recipe === undefined) return undefined
  const [present, isUsable] = await Promise.all([images.present(reference), images.usable(record)])
  if (!isAsWritten(record, present)) return undefined
  if (!isUsable) return UNUSABLE
  return (await parts.isOutdated?.(reference, recipe)) ? 'its NixBuild has another recipe now' : undefined
}

async function judge(parts: ImageStatusParts, recipe: Recipe, signal: AbortSignal): Promise<string | undefined> {
  const images = await parts.images()
  const record = await findRecord(images, recipe.image, signal)
  const presence = await findPresence(images, record, { recipe, signal })
  return 'absent' in presence ? presence.absent : undefined
}
