import { FinalError } from '../../../lib/errors.ts'
import { describeWork, type Recipe } from '../../../recipes/recipe.ts'

/** The error of a build that `nix.timeout` ended. `words` follow the message. */
export function buildTimedOut(recipe: Recipe, timeoutMs: number, words = ''): FinalError {
  const limit = `${Math.round(timeoutMs / 1000)} s (nix.timeout in the config)`
  return new FinalError('BuildTimedOut', `${describeWork(recipe)} took longer than ${limit}${words}`)
}
