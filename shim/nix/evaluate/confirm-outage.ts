import { statfs } from 'node:fs/promises'
import { type ErrorCode, FinalError, type ShimError, toShimError } from '../../../lib/errors.ts'

export interface EvaluationSteps {
  /** `isDoubted`: whatever words it fails with decide nothing. */
  evaluate(options: { readonly isDoubted: boolean }): Promise<string>
  /** Fetches the flake and its inputs, and evaluates none of it. */
  fetchAll(): Promise<void>
  /** Of the disks that an evaluation writes to. */
  isDiskFull(): Promise<boolean>
  readonly signal: AbortSignal
}

/**
 * What an evaluation fails with may be words that its flake has chosen (`throw`). So where they tell of an outage, a download or a
 * builder, something that runs none of the flake's code has to fail, too; else the evaluation is to blame.
 */
export async function evaluateDoubted({ evaluate, fetchAll, isDiskFull, signal }: EvaluationSteps): Promise<string> {
  try {
    return await evaluate({ isDoubted: false })
  } catch (thrown) {
    const error = toShimError(thrown)
    if (signal.aborted || isOfEvaluation(error)) throw thrown
    // To fetch what is there writes nothing.
    if (error.code === 'DiskFull' && (await isDiskFull())) throw thrown
    if (error.retryable || error.code === 'FlakeNotFound') await fetchAll()
    if (!error.retryable) throw new FinalError('EvaluationFailed', error.message, { cause: thrown })
  }
  // What was in the way may have passed meanwhile.
  return evaluate({ isDoubted: true })
}

/** Codes that no words of nix lead to. */
const NOT_TOLD: readonly ErrorCode[] = ['EvaluationFailed', 'NixMissing', 'Cancelled', 'Internal']

function isOfEvaluation({ code }: ShimError): boolean {
  return NOT_TOLD.includes(code)
}

/** A derivation takes a block and an inode; what is left to root alone is none of the build user's. */
const LEAST_BYTES = 1024 * 1024

const LEAST_INODES = 16

/** Whether a folder's disk has no room for another derivation. */
export async function isDiskFull(folders: readonly string[]): Promise<boolean> {
  const disks = await Promise.all(folders.map(folder => statfs(folder)))
  return disks.some(
    ({ bavail, bsize, files, ffree }) => bavail * bsize < LEAST_BYTES || (files > 0 && ffree < LEAST_INODES),
  )
}
