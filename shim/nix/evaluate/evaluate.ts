import { type FlakeRecipe, isPackageSet } from '../../../recipes/recipe.ts'
import { hostSystem } from '../../../recipes/system.ts'
import type { Derivation } from './derivation.ts'
import { lookupExpression } from './lookup-expression.ts'
import { packageSetExpression } from './package-set-expression.ts'
import { readPackage } from './read-package.ts'
import { readPackageSet } from './read-package-set.ts'

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
