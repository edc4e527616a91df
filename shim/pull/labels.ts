import { createHash } from 'node:crypto'
import { type Recipe, recipeKey } from '../../recipes/recipe.ts'
import { IMAGE_ID_LABEL } from '../containerd/services/constants.ts'
import type { CriImage } from '../containerd/services/cri.ts'
import type { ImageRecord } from '../containerd/services/images.ts'
import type { BuildResult } from '../nix/store/results.ts'

/** Marks an image record that the shim has written; the value is the recipe's key. */
export const RECIPE_LABEL = 'enbi.hrzn.ee/recipe'
/** Store path that the image was made from. */
export const STORE_PATH_LABEL = 'enbi.hrzn.ee/store-path'

/** Digest of the package's hints on how it is run. */
const HINTS_LABEL = 'enbi.hrzn.ee/package-hints'

/** Labels that tie an image record to its recipe and to its build. */
export function recipeLabels(recipe: Recipe, output: BuildResult): Record<string, string> {
  return { [RECIPE_LABEL]: recipeKey(recipe), ...outputLabels(output) }
}

/** Both labels are always given: containerd keeps a label that an update leaves out. */
function outputLabels({ storePath, package: hints = {} }: BuildResult): Record<string, string> {
  const digest = createHash('sha256').update(JSON.stringify(hints)).digest('hex')
  return { [STORE_PATH_LABEL]: storePath, [HINTS_LABEL]: digest }
}

/** Whether the image is of that very output and its package still has the same hints. */
export function isOfOutput({ labels }: ImageRecord, output: BuildResult): boolean {
  return Object.entries(outputLabels(output)).every(([label, value]) => labels[label] === value)
}

/** Whether the image that CRI knows by the record's name is the one that the record was written for. */
export function isAsWritten({ labels }: ImageRecord, present: CriImage | undefined): boolean {
  return present !== undefined && present.id === labels[IMAGE_ID_LABEL]
}

export function isOfRecipe({ labels }: ImageRecord, recipe: Recipe): boolean {
  return labels[RECIPE_LABEL] === recipeKey(recipe)
}
