import type { Recipe } from '../../recipes/recipe.ts'
import type { ImageRecord, ImageRecords } from './contract.ts'
import { isAsWritten, isOfRecipe } from './labels.ts'
import { whenContainerdAnswers } from './when-containerd-answers.ts'

/** Id of the recipe's image, when CRI knows it and containers can be made of it. `record` is that of the recipe's name. */
export async function presentId(
  images: ImageRecords,
  record: ImageRecord | undefined,
  { recipe, signal }: { readonly recipe: Recipe; readonly signal: AbortSignal },
): Promise<string | undefined> {
  if (!record || !isOfRecipe(record, recipe)) return undefined
  const look = () => Promise.all([images.present(recipe.image), images.usable(record)])
  const [present, isUsable] = await whenContainerdAnswers(look, signal)
  // CRI is asked by name, which may be another image's by now.
  return isUsable && isAsWritten(record, present) ? present?.id : undefined
}
