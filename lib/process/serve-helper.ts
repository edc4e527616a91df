import { readLines } from '../text/lines.ts'
import { lowerPriority } from './process-limits.ts'

export interface HelperCall {
  /** Aborted when the work is cancelled, or the shim has ended. */
  readonly signal: AbortSignal
  readonly report: (report: unknown) => void
}

/** The order of a helper that did not have to wait has arrived by then. */
const WARM_UP_AFTER_MS = 20

/**
 * Reads the order of the shim, runs `work` and ends this process, a helper. See run-helper.ts. If the order does not come at once,
 * `warmUp` runs first: code that has run once is faster.
 */
export async function serveAsHelper(
  work: (job: unknown, call: HelperCall) => Promise<void>,
  warmUp: () => Promise<void> = async () => {},
): Promise<void> {
  lowerPriority()
  const controller = new AbortController()
  const cancel = () => controller.abort()
  process.once('SIGTERM', cancel)
  process.stdout.on('error', cancel)
  const warmUpTimer = setTimeout(() => void warmUp(), WARM_UP_AFTER_MS)
  const order = await readOrder(cancel)
  clearTimeout(warmUpTimer)
  if (order === undefined) process.exit(1)
  const job: unknown = JSON.parse(order)
  const report = (report: unknown) => void process.stdout.write(`${JSON.stringify(report)}\n`)
  await work(job, { signal: controller.signal, report })
  process.stdout.write('', () => process.exit(0))
}

/** In characters. A longer order is cut, and then fails to parse. */
const MAX_ORDER_LENGTH = 16 * 1024 * 1024

/** Returns undefined if no order comes. `onEnd` is called when the shim closes its end. */
async function readOrder(onEnd: () => void): Promise<string | undefined> {
  // Only "\n" ends a line of JSON: its strings may contain other line breaks.
  const lines = readLines(process.stdin, MAX_ORDER_LENGTH)
  const { value } = await lines.next()
  void lines.next().then(onEnd, onEnd)
  return value ?? undefined
}
