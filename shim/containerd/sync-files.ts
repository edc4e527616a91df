import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hasCode } from '../../lib/error-code.ts'
import { messageOf, RetryableError } from '../../lib/errors.ts'
import { SYSTEM_PATH } from '../../lib/process/run-process.ts'

export const NO_SYNC = "the program sync (GNU coreutils) is neither on the shim's PATH nor among the system's programs"

export interface WriteBack {
  /** Starts to write the files made so far while further files are made. `path` is on their file system. */
  begin(path: string): void
  /** Resolves when all files are on the disk. Throws a ShimError. */
  finish(path: string): Promise<void>
}

/** A short import writes little: one sync at its end is faster than two. */
const BEGIN_AFTER_MS = 1000

/** Writes the files of one import to disk. */
export function createWriteBack(signal: AbortSignal | undefined): WriteBack {
  const startedAt = performance.now()
  let running: Promise<void> | undefined
  return {
    begin(path) {
      if (performance.now() - startedAt < BEGIN_AFTER_MS) return
      running ??= syncFiles(path, { signal })
        .catch(() => {}) // `finish` would fail in the same way
        .finally(() => {
          running = undefined
        })
    },
    async finish(path) {
      await running
      await syncFiles(path, { signal })
    },
  }
}

export interface SyncOptions {
  readonly signal: AbortSignal | undefined
  readonly program?: string
  readonly limitMs?: number
}

/** A slow disk may need minutes for what a large machine keeps in memory. A disk that takes longer hangs. */
const LIMIT_MS = 15 * 60_000

/**
 * Writes the whole file system of the path to its disk by syncfs(2), which Node lacks and a program of coreutils calls. A program
 * that hangs in the kernel cannot be ended: it is abandoned after the limit. Throws a ShimError.
 */
export async function syncFiles(path: string, options: SyncOptions): Promise<void> {
  const { signal, program = 'sync', limitMs = LIMIT_MS } = options
  const late = AbortSignal.timeout(limitMs)
  try {
    await promisify(execFile)(program, ['-f', path], {
      signal: signal ? AbortSignal.any([signal, late]) : late,
      killSignal: 'SIGKILL',
      env: { PATH: pathFor(process.env) },
    })
  } catch (cause) {
    signal?.throwIfAborted()
    const message = `the image's layers cannot be written to disk: ${late.aborted ? tooLong(path, limitMs) : whyNot(cause)}`
    throw new RetryableError('ImportInterrupted', message, { cause })
  }
}

function tooLong(path: string, limitMs: number): string {
  return `writing the file system of ${path} took longer than ${limitMs / 1000} s; check whether its disk hangs`
}

function whyNot(cause: unknown): string {
  return hasCode(cause, 'ENOENT') ? NO_SYNC : messageOf(cause)
}

function pathFor({ PATH = '' }: NodeJS.ProcessEnv, systemPath = SYSTEM_PATH): string {
  return `${systemPath}:${PATH}`
}

/** Whether the program exists in that environment. */
export async function canSync(env: NodeJS.ProcessEnv, systemPath?: string): Promise<boolean> {
  for (const folder of pathFor(env, systemPath).split(':')) {
    const isThere = await access(join(folder, 'sync'), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (folder !== '' && isThere) return true
  }
  return false
}
