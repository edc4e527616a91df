import * as v from 'valibot'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError, toShimError } from '../../../lib/errors.ts'
import { type HelperCall, serveAsHelper } from '../../../lib/process/serve-helper.ts'
import type { ImportProgress } from '../image/contract.ts'
import { type ClosureQueries, createClosureQueries } from './closure-query.ts'
import { type ImportReport, jobSchema, messageSchema } from './messages.ts'
import { runImport } from './run-import.ts'

/** After an idle time this long, the next import is probably not imminent. */
const REST_MS = 300
/** Often enough for a person who watches. */
const PROGRESS_INTERVAL_MS = 100

let rest: NodeJS.Timeout | undefined
let queries: ClosureQueries | undefined

/** This process runs imports, one after another. It reads what strangers wrote, so that the daemon does not. */
await serveAsHelper(work, {
  isReused: true,
  exitsWithDaemon: true,
  onMessage: message => queries?.onAnswer(v.parse(messageSchema, message)),
})

async function work(job: unknown, call: HelperCall): Promise<void> {
  clearTimeout(rest)
  const { signal } = call
  const report = (message: ImportReport) => call.report(message)
  queries = createClosureQueries(report)
  try {
    const outcome = await runImport(v.parse(jobSchema, job), {
      signal,
      onProgress: throttle(progress => report({ kind: 'progress', progress })),
      queryClosure: queries.queryClosure,
      onLinking: linking => report({ kind: 'linking', ...linking }),
      onLeaseEnded: () => report({ kind: 'leaseEnded' }),
    })
    if ('program' in outcome) report({ kind: 'program', program: outcome.program })
    else report({ kind: 'done', image: outcome })
  } catch (error) {
    const { code, message, stack } = toShimError(signal.aborted ? cancelled(error) : explainMemory(error))
    report({ kind: 'failed', code, message, stack })
  } finally {
    // An idle helper without garbage needs a quarter less memory. Needs Node's `--expose-gc`.
    rest = setTimeout(() => globalThis.gc?.(), REST_MS)
  }
}

function throttle(report: (progress: ImportProgress) => void): (progress: ImportProgress) => void {
  let last = Number.NEGATIVE_INFINITY
  return progress => {
    const now = performance.now()
    if (progress.phase === 'importing' && now - last < PROGRESS_INTERVAL_MS) return
    last = now
    report(progress)
  }
}

function cancelled(cause: unknown): RetryableError {
  return new RetryableError('Cancelled', 'the import was cancelled', { cause })
}

/** An allocation beyond the process's limit throws (see lib/process/helper-pool.ts). */
function explainMemory(error: unknown): unknown {
  const isOutOfMemory =
    hasCode(error, 'ERR_MEMORY_ALLOCATION_FAILED') ||
    (error instanceof RangeError && /allocation failed/i.test(error.message))
  const message = 'the import broke off: it takes more memory than an import may'
  return isOutOfMemory ? new RetryableError('ImportInterrupted', message, { cause: error }) : error
}
