import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { isCreatedForPods, type NixBuild } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { FinalError, messageOf, toShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import type { ClusterRecipe } from '../../pull/contract.ts'

/**
 * Chooses a recipe from a namespace's NixBuilds of one image. NixBuilds for this node's system come first, then those
 * made by hand, then the newest. Throws RecipeInvalid if all are malformed, and RecipeConflict if two made by hand
 * differ. NixBuilds of recipes that only a shim has told are ignored: no node may choose what others build.
 */
export function chooseRecipe(nixBuilds: readonly NixBuild[], system: string): ClusterRecipe | undefined {
  const read = nixBuilds.filter(isTrusted).map(readOne)
  const good = read.filter(found => 'recipe' in found)
  const [bad] = read.filter(found => 'error' in found)
  if (good.length === 0 && bad) throw invalid(bad.nixBuild, bad.error)
  const ours = good.filter(({ recipe }) => recipe.system === system)
  const ranked = (ours.length > 0 ? ours : good).sort(byRank)
  const [best, second] = ranked
  if (best && second && !second.createdForPods && recipeKey(best.recipe) !== recipeKey(second.recipe))
    throw new FinalError(
      'RecipeConflict',
      `the NixBuilds ${quote(best.nixBuild)} and ${quote(second.nixBuild)} of the pod's namespace have different recipes for one image, ${best.recipe.image}: delete one of them`,
    )
  return best && { recipe: best.recipe, nixBuild: best.nixBuild }
}

/** The controller sets that label. Pods whose images' names are recipes do not need these NixBuilds. */
function isTrusted({ metadata }: NixBuild): boolean {
  return metadata.labels[MANAGED_BY_LABEL] !== SHIM
}

interface Candidate extends ClusterRecipe {
  readonly createdForPods: boolean
  /** RFC 3339. */
  readonly created: string
}

function readOne(nixBuild: NixBuild): Candidate | { readonly nixBuild: string; readonly error: unknown } {
  const { name, creationTimestamp } = nixBuild.metadata
  try {
    const createdForPods = isCreatedForPods(nixBuild)
    return { nixBuild: name, recipe: recipeOf(nixBuild), createdForPods, created: creationTimestamp }
  } catch (error) {
    return { nixBuild: name, error }
  }
}

function byRank(one: Candidate, other: Candidate): number {
  return (
    Number(one.createdForPods) - Number(other.createdForPods) ||
    other.created.localeCompare(one.created) ||
    one.nixBuild.localeCompare(other.nixBuild)
  )
}

function invalid(nixBuild: string, cause: unknown): FinalError {
  const message = `the NixBuild ${quote(nixBuild)} of the pod's namespace is invalid: ${messageOf(toShimError(cause))}`
  return new FinalError('RecipeInvalid', message, { cause })
}
