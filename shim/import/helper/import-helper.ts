import * as v from 'valibot'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError, toShimError } from '../../../lib/errors.ts'
import { lowerPriority } from '../../../lib/process/process-limits.ts'
import type { ImportProgress } from '../image/contract.ts'
import { createClosureQueries } from './closure-query.ts'
import { type ImportJob, type ImportReport, orderSchema } from './messages.ts'
import { runImport } from './run-import.ts'

// A process that runs imports, one after another: it gets ImportOrders and sends ImportReports. It ends with the shim.
lowerPriority()
process.once('disconnect', () => process.exit(1))
const queries = createClosureQueries(report)
let cancel = new AbortController()

process.on('message', message => {
  const order = v.parse(orderSchema, message)
  if (order.kind === 'cancel') return cancel.abort(new RetryableError('Cancelled', 'the import was cancelled'))
  if (order.kind !== 'import') return queries.onAnswer(order)
  cancel = new AbortController()
  void run(order.job, cancel.signal)
})

/** After an idle time this long, the next import is probably not imminent. */
const REST_MS = 300
let rest: NodeJS.Timeout | undefined

/** An idle worker without garbage needs a quarter less memory. Needs Node's `--expose-gc`. */
function collectAtRest(): void {
  rest = setTimeout(() => globalThis.gc?.(), REST_MS)
}

async function run(job: ImportJob, signal: AbortSignal): Promise<void> {
  clearTimeout(rest)
  try {
    const outcome = await runImport(job, {
      signal,
      onProgress: throttle(progress => report({ kind: 'progress', progress })),
      queryClosure: queries.queryClosure,
      onLinking: linking => report({ kind: 'linking', ...linking }),
      onLeaseEnded: () => report({ kind: 'leaseEnded' }),
    })
    if ('program' in outcome) report({ kind: 'program', program: outcome.program })
    else report({ kind: 'done', image: outcome })
  } catch (error) {
    const { code, message, stack } = toShimError(isOutOfMemory(error) ? tooMuchMemory(error) : error)
    report({ kind: 'failed', code, message, stack })
  } finally {
    collectAtRest()
  }
}

/** See lib/process/process-limits.ts. */
function isOutOfMemory(error: unknown): boolean {
  return (
    hasCode(error, 'ERR_MEMORY_ALLOCATION_FAILED') ||
    (error instanceof RangeError && /allocation failed/i.test(error.message))
  )
}

function tooMuchMemory(cause: unknown): RetryableError {
  return new RetryableError('ImportInterrupted', 'the import broke off: it takes more memory than an import may', {
    cause,
  })
}

function report(message: ImportReport): void {
  process.send?.(message)
}

/** Often enough for a person who watches. */
const PROGRESS_INTERVAL_MS = 100

function throttle(report: (progress: ImportProgress) => void): (progress: ImportProgress) => void {
  let last = Number.NEGATIVE_INFINITY
  return progress => {
    const now = performance.now()
    if (progress.phase === 'importing' && now - last < PROGRESS_INTERVAL_MS) return
    last = now
    report(progress)
  }
}
