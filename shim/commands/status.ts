import { RetryableError } from '../../lib/errors.ts'
import { createClient } from '../../lib/grpc/client.ts'
import { isRedrawable } from '../../lib/text/redrawable.ts'
import { readStatusReport, SHIM_STATUS, type StatusReport } from '../wire/status.ts'
import { clientError } from './client-error.ts'
import { createStatusBlocks } from './status-view/status-blocks.ts'
import { createStatusLive } from './status-view/status-live.ts'
import type { StatusView } from './status-view/status-view.ts'

export interface StatusArguments {
  /** Path of the shim's socket. */
  readonly socket: string
  /** Go on until the signal aborts. */
  readonly watch: boolean
}

export interface StatusIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/** Shows what a shim does and holds. Throws ShimAway, also when a shim that is watched stops, or Cancelled. */
export async function status({ socket, watch }: StatusArguments, { json, output, signal }: StatusIo): Promise<void> {
  const view = chooseView({ json, output }, watch)
  // Whoever reads the output may have seen enough.
  const reader = new AbortController()
  output.on('error', () => reader.abort())
  const end = AbortSignal.any([signal, reader.signal])
  try {
    const reports = await follow({ socket, watch }, end, view.show)
    if (watch || reports === 0) throw new RetryableError('ShimAway', `the shim on ${socket} has stopped`)
  } catch (error) {
    if (!reader.signal.aborted && !(watch && signal.aborted)) throw error
  } finally {
    view.close()
  }
}

/** Longest time until the first report: the shim itself waits for containerd and for nix, for some seconds each. */
const FIRST_LIMIT_MS = 30_000

/** Resolves to the number of reports once the shim has sent all that it will send. */
async function follow(
  { socket, watch }: StatusArguments,
  signal: AbortSignal,
  onReport: (report: StatusReport) => void,
): Promise<number> {
  const silence = new AbortController()
  const giveUp = () =>
    silence.abort(
      new RetryableError('ShimAway', `what listens on ${socket} says nothing for ${FIRST_LIMIT_MS / 1000} s`),
    )
  const timer = setTimeout(giveUp, FIRST_LIMIT_MS)
  using client = createClient(socket, { signal: AbortSignal.any([signal, silence.signal]), connectTimeoutMs: 0 })
  let reports = 0
  try {
    for await (const report of client.serverStream(SHIM_STATUS.Watch, { watch })) {
      clearTimeout(timer)
      reports += 1
      onReport(readStatusReport(report))
    }
    return reports
  } catch (error) {
    throw clientError(error, { socket, signal })
  } finally {
    clearTimeout(timer)
  }
}

/** JSON if asked for, a live view on a terminal that is watched, plain text otherwise. */
function chooseView({ json, output }: Pick<StatusIo, 'json' | 'output'>, watch: boolean): StatusView {
  if (json) return createJsonLines(output)
  return watch && isRedrawable(output) ? createStatusLive(output) : createStatusBlocks(output)
}

/** One object per line, times as ISO 8601; unknown values are left out. */
function createJsonLines(output: NodeJS.WriteStream): StatusView {
  return {
    show: report => void output.write(`${JSON.stringify(report)}\n`),
    close() {},
  }
}
