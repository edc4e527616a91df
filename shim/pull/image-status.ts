import type { Logger } from 'pino'
import { FinalError } from '../../lib/errors.ts'
import { findRecipe, type RecipeQuery } from '../../recipes/find-recipe.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import type { ImageRecords } from './contract.ts'
import { decodeImageStatus, encodeAbsentImageStatus } from './cri-messages.ts'
import { isAsWritten, RECIPE_LABEL } from './labels.ts'
import { presentId } from './present-id.ts'
import { whenContainerdAnswers } from './when-containerd-answers.ts'

export interface ImageStatusOptions {
  readonly images: () => Promise<ImageRecords>
  readonly names: Names
  /** Whether anything but a name may be the recipe of an image in the message. */
  readonly mayHaveRecipe: (request: Buffer) => boolean
  readonly system: string
  readonly logger: Logger
}

/**
 * The ImageStatus that precedes a pull: "not present" unless the image on the node is of the very recipe that the pod asks for, so that
 * `IfNotPresent` never runs another recipe's image, and can be used. With half a recipe the image is "not present" too: the pull that
 * follows tells what is wrong.
 */
export function createImageStatus(options: ImageStatusOptions): UnaryInterceptor {
  const { images, mayHaveRecipe, system } = options
  const isThere = async (recipe: Recipe, signal: AbortSignal) => {
    const records = await images()
    const record = await whenContainerdAnswers(() => records.find(recipe.image), signal)
    return (await presentId(records, record, { recipe, signal })) !== undefined
  }
  /** Its recipe may be its store path, or a NixBuild, for which only a pull is told enough. What is not ours is containerd's to judge. */
  const isDamaged = async (image: string) => {
    const reference = readableReference(image)
    if (reference === undefined) return false
    const records = await images()
    const record = await records.find(reference).catch(() => undefined)
    if (record?.labels[RECIPE_LABEL] === undefined) return false
    const [present, isUsable] = await Promise.all([records.present(reference), records.usable(record)])
    return !isUsable && isAsWritten(record, present)
  }
  return async ({ request, signal }) => {
    const query = { ...decodeImageStatus(request), system }
    const wanted = readWanted(options, query)
    const isPresent =
      wanted === 'none'
        ? !(mayHaveRecipe(request) && (await isDamaged(query.image)))
        : wanted !== 'broken' && (await isThere(wanted, signal))
    return isPresent ? { kind: 'forward' } : { kind: 'reply', message: encodeAbsentImageStatus() }
  }
}

function readWanted({ names, logger }: ImageStatusOptions, query: RecipeQuery): Recipe | 'none' | 'broken' {
  try {
    return findRecipe(query) ?? names.recipeOf(query.image) ?? 'none'
  } catch (err) {
    if (!(err instanceof FinalError)) throw err
    logger.debug({ err }, 'image status with half a recipe')
    return 'broken'
  }
}
