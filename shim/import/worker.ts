import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import * as v from 'valibot'
import { RetryableError, toShimError } from '../errors.ts'
import type { ImportProgress } from './contract.ts'
import { CANCEL, type ImportReport, jobSchema } from './job.ts'
import { runImport } from './run-import.ts'

/** The thread of one import: gets an ImportJob, tells ImportReports. */
async function main(): Promise<void> {
  lowerPriority()
  const cancel = new AbortController()
  parentPort?.on('message', message => {
    if (message === CANCEL) cancel.abort(new RetryableError('Cancelled', 'the import was cancelled'))
  })
  try {
    const job = v.parse(jobSchema, workerData)
    const image = await runImport(job, {
      signal: cancel.signal,
      onProgress: throttle(progress => report({ kind: 'progress', progress })),
      onStaleLeasesEnded: () => report({ kind: 'staleLeasesEnded' }),
      onScript: pid => report({ kind: 'script', ...(pid !== undefined && { pid }) }),
    })
    report({ kind: 'done', image })
  } catch (error) {
    const { code, message, stack } = toShimError(error)
    report({ kind: 'failed', code, message, stack })
  }
  parentPort?.close()
}

function report(message: ImportReport): void {
  parentPort?.postMessage(message)
}

const NICENESS = 10

/** Calls that pass through the main thread go first; children inherit it. */
function lowerPriority(): void {
  const threadId = Number(basename(readlinkSync('/proc/thread-self')))
  setPriority(threadId, NICENESS)
}

/** Often enough for eyes. */
const PROGRESS_INTERVAL_MS = 100

function throttle(tell: (progress: ImportProgress) => void): (progress: ImportProgress) => void {
  let last = Number.NEGATIVE_INFINITY
  return progress => {
    const now = performance.now()
    if (progress.phase === 'importing' && now - last < PROGRESS_INTERVAL_MS) return
    last = now
    tell(progress)
  }
}

await main()
