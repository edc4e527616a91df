import { statfs } from 'node:fs/promises'
import { type ErrorCode, FinalError, type ShimError, toShimError } from '../../../lib/errors.ts'

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
