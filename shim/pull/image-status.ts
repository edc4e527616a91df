import type { Logger } from 'pino'
import { FinalError } from '../../lib/errors.ts'
import { findRecipe, type RecipeQuery } from '../../recipes/find-recipe.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import { decodeImageStatus, IMAGE_SERVICE } from '../wire/cri.ts'
import type { ImageRecords } from './contract.ts'
import { isAsWritten, RECIPE_LABEL } from './image-of-recipe.ts'
import { findRecord, presentId } from './present-image.ts'

export interface ImageStatusParts {
  readonly names: Names
  readonly system: string
  readonly images: () => Promise<ImageRecords>
  /** Whether anything but a name may be the recipe of an image in the message. */
  readonly mayHaveRecipe: (request: Buffer) => boolean
  readonly logger: Logger
}

/**
 * Answers "not present" to the ImageStatus that precedes a pull, unless the image on the node is of the very recipe that the pod
 * asks for, and usable: `IfNotPresent` never runs the image of another recipe. The image of half a recipe is "not present"
 * too, so that the pull that follows says what is wrong.
 */
export function interceptImageStatus(parts: ImageStatusParts): UnaryInterceptor {
  return async ({ request, signal }) => {
    const query = { ...decodeImageStatus(request), system: parts.system }
    const recipe = readRecipe(parts, query)
    const isPresent =
      recipe === 'none'
        ? !(parts.mayHaveRecipe(request) && (await isDamaged(parts, query.image)))
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
 * Whether an image of ours cannot be used. Its recipe may be a store path or a NixBuild, which only a pull is told enough
 * about; images that are not ours are containerd's to judge.
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
