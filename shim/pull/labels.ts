import { type Recipe, recipeKey } from '../build/recipe.ts'
import type { ImageRecord } from './contract.ts'

/** Marks an image record as put there by the shim; the value is the recipe's key. */
export const RECIPE_LABEL = 'enbi.hrzn.ee/recipe'
/** Store path that the image was made from. */
export const STORE_PATH_LABEL = 'enbi.hrzn.ee/store-path'

/** Labels that tie an image record to its recipe. */
export function recipeLabels(recipe: Recipe, storePath: string): Record<string, string> {
  return { [RECIPE_LABEL]: recipeKey(recipe), [STORE_PATH_LABEL]: storePath }
}

export function isOfRecipe({ labels }: ImageRecord, recipe: Recipe): boolean {
  return labels[RECIPE_LABEL] === recipeKey(recipe)
}
