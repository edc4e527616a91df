import { readLines } from '../text/lines.ts'
import { giveWay } from './process-limits.ts'

export interface HelperCall {
  /** Aborted when the work is called off, or the shim has gone. */
  readonly signal: AbortSignal
  readonly report: (report: unknown) => void
}

/** The order of a process that did not have to wait is there by then. */
const REHEARSE_AFTER_MS = 20

/**
 * Does what the shim orders of this process, a helper, and ends it. See run-helper.ts. `rehearse` is called when the order is
 * still to come: what has run once is quicker.
 */
export async function serveAsHelper(
  work: (job: unknown, call: HelperCall) => Promise<void>,
  rehearse: () => Promise<void> = async () => {},
): Promise<void> {
  giveWay()
  const controller = new AbortController()
  const callOff = () => controller.abort()
  process.once('SIGTERM', callOff)
  process.stdout.on('error', callOff)
  const rehearsal = setTimeout(() => void rehearse(), REHEARSE_AFTER_MS)
  const order = await readOrder(callOff)
  clearTimeout(rehearsal)
  if (order === undefined) process.exit(1)
  const job: unknown = JSON.parse(order)
  const report = (report: unknown) => void process.stdout.write(`${JSON.stringify(report)}\n`)
  await work(job, { signal: controller.signal, report })
  process.stdout.write('', () => process.exit(0))
}

/** Longer ones are cut, and fail. In characters. */
const MAX_ORDER_LENGTH = 16 * 1024 * 1024

/** Undefined when there is none. `onEnd` is called when whoever gives orders has gone. */
async function readOrder(onEnd: () => void): Promise<string | undefined> {
  // A line of JSON ends at "\n" alone: other ends of lines may stand in its texts.
  const lines = readLines(process.stdin, MAX_ORDER_LENGTH)
  const { value } = await lines.next()
  void lines.next().then(onEnd, onEnd)
  return value ?? undefined
}
