import * as v from 'valibot'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError, toShimError } from '../../../lib/errors.ts'
import { giveWay } from '../../../lib/process/process-limits.ts'
import type { ImportProgress } from '../image/contract.ts'
import { createAskMain } from './closure-query.ts'
import { type ImportJob, type ImportReport, orderSchema } from './messages.ts'
import { runImport } from './run-import.ts'

/** A process that runs imports, one after another: gets ImportOrders, tells ImportReports. It ends with the shim. */
giveWay()
process.once('disconnect', () => process.exit(1))
const ask = createAskMain(report)
let cancel = new AbortController()

process.on('message', message => {
  const order = v.parse(orderSchema, message)
  if (order.kind === 'cancel') return cancel.abort(new RetryableError('Cancelled', 'the import was cancelled'))
  if (order.kind !== 'import') return ask.answered(order)
  cancel = new AbortController()
  void run(order.job, cancel.signal)
})

/** After this, in milliseconds, an import is unlikely to follow at once. */
const REST_MS = 300
let rest: NodeJS.Timeout | undefined

/** What waits for work holds no garbage: a quarter of its memory. Wants Node's `--expose-gc`. */
function collectAtRest(): void {
  rest = setTimeout(() => globalThis.gc?.(), REST_MS)
}

async function run(job: ImportJob, signal: AbortSignal): Promise<void> {
  clearTimeout(rest)
  try {
    const outcome = await runImport(job, {
      signal,
      onProgress: throttle(progress => report({ kind: 'progress', progress })),
      queryClosure: ask.queryClosure,
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

/** See ../helper/data-limit.ts. */
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
