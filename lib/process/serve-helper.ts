import { writeFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import * as v from 'valibot'
import { hasCode } from '../error-code.ts'
import { readLines } from '../text/lines.ts'

export interface HelperCall {
  /** Aborted when the job is cancelled. */
  readonly signal: AbortSignal
  readonly report: (report: unknown) => void
}

export interface HelperOptions {
  /** Whether this process waits for another job after the first; otherwise it ends. */
  readonly isReused?: boolean
  /** Takes what the daemon sends during a job. */
  readonly onMessage?: (message: unknown) => void
  /** Whether this process exits when the daemon ends. Otherwise the job is cancelled, and may still clean up. */
  readonly exitsWithDaemon?: boolean
  /** Runs before the first job if that takes a while to arrive: code that has run once is faster. */
  readonly warmUp?: () => Promise<void>
}

/** The job of a helper that did not have to wait has arrived by then. */
const WARM_UP_AFTER_MS = 20

/** In characters. A longer order is cut, and then fails to parse. */
const MAX_ORDER_LENGTH = 16 * 1024 * 1024

const orderSchema = v.variant('kind', [
  v.object({ kind: v.literal('job'), job: v.unknown() }),
  v.object({ kind: v.literal('message'), message: v.unknown() }),
])

/**
 * Makes this process a helper, which runs `work` for each job that the daemon sends. For the daemon, a job ends with its last
 * report. The other end is helper-pool.ts.
 */
export async function serveAsHelper(
  work: (job: unknown, call: HelperCall) => Promise<void>,
  { isReused = false, onMessage = () => {}, exitsWithDaemon = false, warmUp }: HelperOptions = {},
): Promise<void> {
  lowerPriority()
  let running: AbortController | undefined
  const cancel = () => (running ? running.abort() : process.exit(1))
  process.on('SIGTERM', cancel)
  process.stdout.on('error', cancel)
  const warmUpTimer = setTimeout(() => void warmUp?.(), WARM_UP_AFTER_MS)
  const report = (report: unknown) => void process.stdout.write(`${JSON.stringify(report)}\n`)
  const run = async (job: unknown) => {
    running = new AbortController()
    await work(job, { signal: running.signal, report })
    running = undefined
    if (!isReused) process.stdout.write('', () => process.exit(0))
  }
  await readOrders(order => {
    clearTimeout(warmUpTimer)
    if (order.kind === 'message') onMessage(order.message)
    else void run(order.job)
  })
  if (exitsWithDaemon) process.exit(1)
  cancel()
}

/** Resolves when the daemon closes its end. */
async function readOrders(onOrder: (order: v.InferOutput<typeof orderSchema>) => void): Promise<void> {
  // Only "\n" ends a line of JSON: its strings may contain other line breaks.
  const lines = readLines(process.stdin, MAX_ORDER_LENGTH)
  try {
    for await (const line of lines) onOrder(v.parse(orderSchema, JSON.parse(line)))
  } catch (error) {
    // The daemon was killed before it had read everything.
    if (!hasCode(error, 'ECONNRESET')) throw error
  }
}

/** Gives this process a low priority for processors, and makes it the first to be killed if memory runs out. Children inherit both. */
export function lowerPriority(): void {
  // Only privileged processes may raise a priority that is lower.
  setPriority(Math.max(NICENESS, getPriority()))
  try {
    writeFileSync('/proc/self/oom_score_adj', `${OOM_SCORE}`)
  } catch {
    // Some machines forbid this. The process works without it.
  }
}

const NICENESS = 10

/** The maximum: pods and everything else on the node matter more. */
const OOM_SCORE = 1000
