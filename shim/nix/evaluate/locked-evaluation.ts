import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import { queryOf } from '../../../recipes/flake-query.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import { outputsExpression } from './evaluate.ts'
import { nixString } from './nix-language.ts'

const answerSchema = v.object({ url: v.pipe(v.string(), v.maxLength(4096)) })

/** Arguments of nix that tell the URL which locks the flake to what is there now. */
export function lockArgs(url: string): string[] {
  return ['flake', 'metadata', '--json', url]
}

export function readLockedUrl(url: string, stdout: string): string {
  try {
    return v.parse(answerSchema, JSON.parse(stdout)).url
  } catch {
    throw new RetryableError('BuildInterrupted', `nix gave no answer that makes sense about ${url}`)
  }
}

/**
 * Whether the URL that nix gives for the locked flake has all that the flake's own has: Nix before 2.19 leaves out keys such as
 * `submodules` and `host`, and the rest is the URL of other content.
 */
export function canBeLocked(url: string): boolean {
  return [...queryOf(url).keys()].every(key => KEPT.includes(key))
}

const KEPT: readonly string[] = ['dir', 'narHash', 'ref', 'rev', 'shallow']

/** The same look-up as by an installable, for which a nix before 2.19 evaluates `legacyPackages` first. */
export function lockedEvaluationArgs(recipe: FlakeRecipe, lockedUrl: string): string[] {
  const outputs = `(builtins.getFlake ${nixString(lockedUrl)}).outputs`
  return ['eval', '--json', '--expr', `(${outputsExpression(recipe)}) ${outputs}`]
}
