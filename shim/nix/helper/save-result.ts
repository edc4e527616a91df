import type { FlakeUrl } from '../../../recipes/flake-url.ts'
import { type FlakeRecipe, packagesOf, type Recipe, recipeKey } from '../../../recipes/recipe.ts'
import type { Derivation } from '../evaluate/derivation.ts'
import type { BuildResult, Results, SavedResult } from '../store/results.ts'

export interface Evaluation {
  /** Not locked if nobody asks which content it has, or nix does not tell. */
  readonly flake: FlakeUrl
  readonly derivation: Derivation
}

/** What a run has made, before it is saved. */
export type Made = Omit<SavedResult, 'runId'>

/** `output`: of the derivation, if its link has the name of that output. */
export function madeOf(
  recipe: FlakeRecipe,
  { flake, derivation }: Evaluation,
  { storePath, output }: { readonly storePath: string; readonly output: string },
): Made {
  const { package: hints } = derivation
  return {
    storePath,
    output,
    flake: recipe.flake.url,
    ...(flake.locked && { lockedFlakeUrl: flake.url }),
    ...packagesOf(recipe),
    ...(hints && { package: hints }),
  }
}

/** Remembers the result for later pulls. */
export async function saveResult(results: Results, recipe: Recipe, runId: string, made: Made): Promise<BuildResult> {
  await results.save(recipeKey(recipe), { ...made, runId })
  const { storePath, lockedFlakeUrl, package: hints } = made
  return { storePath, runId, ...(lockedFlakeUrl && { lockedFlakeUrl }), ...(hints && { package: hints }) }
}
