import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { hasCode } from '../error-code.ts'
import { messageOf, RetryableError } from '../errors.ts'
import { SYSTEM_PATH } from '../system-path.ts'

export interface WriteBack {
  /** What has been made so far may be written while the next files are made. The path is on their file system. */
  begin(path: string): void
  /** Resolves when all files are on the disk. Throws a ShimError. */
  finish(path: string): Promise<void>
}

/** Short imports write little: to write that twice would take longer than to wait for it. */
const BEGIN_AFTER_MS = 1000

/** Has the files of one import written to disk. */
export function createWriteBack(signal: AbortSignal | undefined): WriteBack {
  const startedAt = performance.now()
  let running: Promise<void> | undefined
  return {
    begin(path) {
      if (performance.now() - startedAt < BEGIN_AFTER_MS) return
      running ??= syncFiles(path, signal)
        .catch(() => {}) // `finish` will meet it again
        .finally(() => {
          running = undefined
        })
    },
    async finish(path) {
      await running
      await syncFiles(path, signal)
    },
  }
}

/**
 * Writes everything of the file system that the path is on to its disk: syncfs(2), for which Node has no call and coreutils has a
 * program. Throws a ShimError.
 */
async function syncFiles(path: string, signal: AbortSignal | undefined): Promise<void> {
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
