import { statfs } from 'node:fs/promises'
import * as v from 'valibot'
import { type ErrorCode, FinalError, RetryableError, type ShimError, toShimError } from '../../../lib/errors.ts'
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

/** Arguments of nix that print which content the flake has now. */
export function lockArgs(url: string): string[] {
  return ['flake', 'metadata', '--json', url]
}

const text = v.pipe(v.string(), v.maxLength(4096))
const answerSchema = v.object({
  /** Locks the flake in the form of nix. */
  url: text,
  locked: v.object({ rev: v.optional(text), narHash: v.optional(text) }),
})
export type LockAnswer = v.InferOutput<typeof answerSchema>

export function readLock(url: string, stdout: string): LockAnswer {
  try {
    return v.parse(answerSchema, JSON.parse(stdout))
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

export interface EvaluationSteps {
  /** `isUntrusted`: the error text must not decide the error code. */
  evaluate(options: { readonly isUntrusted: boolean }): Promise<string>
  /** Fetches the flake and its inputs without evaluating anything. */
  fetchAll(): Promise<void>
  /** Whether a disk that the evaluation writes to is full. */
  isDiskFull(): Promise<boolean>
  readonly signal: AbortSignal
}

/**
 * A flake can choose the error text of its evaluation (`throw`). If that text looks like an outage, or a failed download or builder,
 * a step that runs none of the flake's code must fail too. Otherwise the evaluation itself is at fault.
 */
export async function evaluateConfirmed({ evaluate, fetchAll, isDiskFull, signal }: EvaluationSteps): Promise<string> {
  try {
    return await evaluate({ isUntrusted: false })
  } catch (thrown) {
    const error = toShimError(thrown)
    if (signal.aborted || isOwnFailure(error)) throw thrown
    // Fetching again would not reveal a full disk: it writes nothing if everything is there.
    if (error.code === 'DiskFull' && (await isDiskFull())) throw thrown
    if (error.retryable || error.code === 'FlakeNotFound') await fetchAll()
    if (!error.retryable) throw new FinalError('EvaluationFailed', error.message, { cause: thrown })
  }
  // The problem may be over by now.
  return evaluate({ isUntrusted: true })
}

/** Codes that do not come from the error text. */
const NOT_BY_WORDS: readonly ErrorCode[] = ['EvaluationFailed', 'NixMissing', 'Cancelled', 'Internal']

function isOwnFailure({ code }: ShimError): boolean {
  return NOT_BY_WORDS.includes(code)
}

/** A derivation needs a block and an inode. Blocks reserved for root do not count. */
const LEAST_BYTES = 1024 * 1024
const LEAST_INODES = 16

/** Whether the disk of one of the folders has no room for another derivation. */
export async function isDiskFull(folders: readonly string[]): Promise<boolean> {
  const disks = await Promise.all(folders.map(folder => statfs(folder)))
  return disks.some(
    ({ bavail, bsize, files, ffree }) => bavail * bsize < LEAST_BYTES || (files > 0 && ffree < LEAST_INODES),
  )
}
