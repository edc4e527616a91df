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
  /** As nix is given it. */
  readonly url: string
  /** Whether this nix reads a leading dot of an attribute path: no prefix is tried then. */
  readonly leadingDot: boolean
}

/** Arguments of nix that make it look for the package and tell what it found; no package is an answer, too. */
export function evaluationArgs(recipe: FlakeRecipe, { url, leadingDot }: FlakeAddress): string[] {
  return ['eval', '--json', ...(leadingDot ? [`${url}#.`] : withoutDot(url)), '--apply', outputsExpression(recipe)]
}

/** Arguments of nix that fetch a flake and all of its inputs, and evaluate none of them. */
export function fetchAllArgs(url: string): string[] {
  return ['flake', 'archive', url]
}

/**
 * All outputs of a flake, without a leading dot. An empty attribute name at the end of a path is no part of it. Prefixes are tried
 * first: `packages.SYSTEM` and `legacyPackages.SYSTEM`, which is why the system is none that a flake has. What is built during
 * evaluation is still for the machine's own.
 */
function withoutDot(url: string): string[] {
  return [`${url}#""`, '--option', 'system', 'none', '--option', 'extra-extra-platforms', hostSystem()]
}

/** A function of the flake's outputs, in the Nix language: what is to be built of them. */
export function outputsExpression(recipe: FlakeRecipe): string {
  return isPackageSet(recipe) ? packageSetExpression(recipe) : lookupExpression(recipe)
}

/** Throws AttributeMissing, SystemUnsupported, or EvaluationFailed when the text is no answer, or the hints are of no use. */
export function readEvaluation(recipe: FlakeRecipe, stdout: string): Derivation {
  return isPackageSet(recipe) ? readPackageSet(recipe, stdout) : readPackage(recipe, stdout)
}

/** Arguments of nix that tell the URL which locks the flake to what is there now. */
export function lockArgs(url: string): string[] {
  return ['flake', 'metadata', '--json', url]
}

const answerSchema = v.object({ url: v.pipe(v.string(), v.maxLength(4096)) })

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
