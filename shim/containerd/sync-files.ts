import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { hasCode } from '../error-code.ts'
import { messageOf, RetryableError } from '../errors.ts'
import { SYSTEM_PATH } from '../system-path.ts'

/**
 * Writes everything of the file system that the path is on to its disk: syncfs(2), for which Node has no call and coreutils has a
 * program. Throws a ShimError.
 */
export async function syncFiles(path: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await promisify(execFile)('sync', ['-f', path], {
      signal,
      env: { PATH: `${SYSTEM_PATH}:${process.env.PATH ?? ''}` },
    })
  } catch (error) {
    signal?.throwIfAborted()
    const why = hasCode(error, 'ENOENT')
      ? "the program sync (GNU coreutils) is neither on the shim's PATH nor among the system's programs"
      : messageOf(error)
    throw new RetryableError('ImportInterrupted', `the image's layers cannot be written to disk: ${why}`, {
      cause: error,
    })
  }
}
