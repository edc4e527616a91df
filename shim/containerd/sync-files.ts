import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { hasCode } from '../error-code.ts'
import { messageOf, RetryableError } from '../errors.ts'

/**
 * Writes everything of the file system that the path is on to its disk: syncfs(2), for which Node has no call and coreutils has a
 * program. Throws a ShimError.
 */
export async function syncFiles(path: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await promisify(execFile)('sync', ['-f', path], { signal })
  } catch (error) {
    signal?.throwIfAborted()
    const why = hasCode(error, 'ENOENT')
      ? "the program sync (GNU coreutils) is not on the shim's PATH"
      : messageOf(error)
    throw new RetryableError('ImportInterrupted', `the image's layers cannot be written to disk: ${why}`, {
      cause: error,
    })
  }
}
