import { mentionsRecipe } from '../../recipes/annotations.ts'
import type { Names } from '../../recipes/names/names.ts'
import { mentionsStorePath } from '../../recipes/store-path-reference.ts'

/**
 * Tests the raw bytes of a call before the shim decodes it or loads anything for it: most calls have no recipe. False is
 * certain; if true, the decoded message decides.
 */
export interface RecipeFilter {
  mayHaveRecipe(message: Buffer): boolean
  /** As `mayHaveRecipe`, for messages whose image name is not a recipe itself. */
  mayHaveOtherRecipe(message: Buffer): boolean
}

export function createRecipeFilter(names: Pick<Names, 'mentioned'>, hasCluster: boolean): RecipeFilter {
  // The cluster may have a recipe for any image of a pod without annotations.
  const mayHaveOtherRecipe = (message: Buffer) => hasCluster || mentionsRecipe(message) || mentionsStorePath(message)
  return {
    mayHaveOtherRecipe,
    mayHaveRecipe: message => mayHaveOtherRecipe(message) || names.mentioned(message),
  }
}
