import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import { queryOf } from '../../../recipes/flake-query.ts'
import { type FlakeRecipe, isPackageSet } from '../../../recipes/recipe.ts'
import { hostSystem } from '../../../recipes/system.ts'
import type { Derivation } from './derivation.ts'
import { lookupExpression, readPackage } from './find-package.ts'
import { nixString } from './nix-language.ts'
import { packageSetExpression, readPackageSet } from './package-set.ts'

export interface FlakeAddress {
  /** The URL that is passed to nix. */
  readonly url: string
  /** Whether this nix understands an attribute path with a leading dot, and then tries no prefixes. */
  readonly leadingDot: boolean
}

/** Arguments of nix for looking up the package. A missing package is an answer as well. */
export function evaluationArgs(recipe: FlakeRecipe, { url, leadingDot }: FlakeAddress): string[] {
  return ['eval', '--json', ...(leadingDot ? [`${url}#.`] : withoutDot(url)), '--apply', outputsExpression(recipe)]
}

/** Arguments of nix that fetch a flake and all of its inputs, but evaluate none of them. */
export function fetchAllArgs(url: string): string[] {
  return ['flake', 'archive', url]
}

/**
 * All outputs of a flake, without a leading dot: nix ignores an empty attribute name at the end of a path. It first tries the prefixes
 * `packages.SYSTEM` and `legacyPackages.SYSTEM`, so the system is set to one that no flake has. Builds during the evaluation still
 * use the machine's own system.
 */
function withoutDot(url: string): string[] {
  return [`${url}#""`, '--option', 'system', 'none', '--option', 'extra-extra-platforms', hostSystem()]
}

/** A function in the Nix language that selects from the flake's outputs what to build. */
function outputsExpression(recipe: FlakeRecipe): string {
  return isPackageSet(recipe) ? packageSetExpression(recipe) : lookupExpression(recipe)
}

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed if the answer or its hints are invalid. */
export function readEvaluation(recipe: FlakeRecipe, stdout: string): Derivation {
  return isPackageSet(recipe) ? readPackageSet(recipe, stdout) : readPackage(recipe, stdout)
}

/** Arguments of nix that print the URL that locks the flake to its current content. */
export function lockArgs(url: string): string[] {
  return ['flake', 'metadata', '--json', url]
}

const answerSchema = v.object({ url: v.pipe(v.string(), v.maxLength(4096)) })

export function readLockedUrl(url: string, stdout: string): string {
  try {
    return v.parse(answerSchema, JSON.parse(stdout)).url
  } catch {
    throw new RetryableError('BuildInterrupted', `nix gave an unexpected answer about ${url}`)
  }
}

/**
 * Whether nix keeps all of the flake's URL in the URL of the locked flake. Nix before 2.19 drops keys such as `submodules` and `host`,
 * and the remaining URL names other content.
 */
export function canBeLocked(url: string): boolean {
  return [...queryOf(url).keys()].every(key => KEPT.includes(key))
}

const KEPT: readonly string[] = ['dir', 'narHash', 'ref', 'rev', 'shallow']

/** The same lookup without an installable, for which nix before 2.19 evaluates `legacyPackages` first. */
export function lockedEvaluationArgs(recipe: FlakeRecipe, lockedUrl: string): string[] {
  const outputs = `(builtins.getFlake ${nixString(lockedUrl)}).outputs`
  return ['eval', '--json', '--expr', `(${outputsExpression(recipe)}) ${outputs}`]
}
