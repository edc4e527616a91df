import { RetryableError } from '../../lib/errors.ts'
import { isRedrawable } from '../../lib/text/terminal.ts'
import { WATCH_STATUS } from '../wire/status.ts'
import { createShimClient } from './shim-client.ts'
import { createStatusBlocks, createStatusJson, createStatusLive, type StatusView } from './status-view.ts'

export interface StatusArguments {
  /** Path of the shim's socket. */
  readonly socket: string
  /** Show reports until the signal aborts. */
  readonly watch: boolean
}

export interface StatusIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/** Longest time until the first report: the shim itself waits some seconds each for containerd and nix. */
const FIRST_LIMIT_MS = 30_000

/** Shows the state of a shim. Throws Cancelled or ShimAway; ShimAway also when a watched shim stops. */
export async function status({ socket, watch }: StatusArguments, { json, output, signal }: StatusIo): Promise<void> {
  const view = chooseView({ json, output }, watch)
  // The reader of the output may close it, as `head` does.
  const reader = new AbortController()
  output.on('error', () => reader.abort())
  const late = new AbortController()
  const client = createShimClient(socket, AbortSignal.any([signal, reader.signal, late.signal]))
  const timer = setTimeout(() => late.abort(silent(socket)), FIRST_LIMIT_MS)
  let reports = 0
  try {
    for await (const report of client.serverStream(WATCH_STATUS, { watch })) {
      clearTimeout(timer)
      reports += 1
      view.show(report)
    }
    if (watch || reports === 0) throw new RetryableError('ShimAway', `the shim on ${socket} has stopped`)
  } catch (error) {
    if (!reader.signal.aborted && !(watch && signal.aborted)) throw error
  } finally {
    clearTimeout(timer)
    view.close()
    client.close()
  }
}

function silent(socket: string): RetryableError {
  return new RetryableError('ShimAway', `the server on ${socket} has not answered for ${FIRST_LIMIT_MS / 1000} s`)
}

/** JSON with `--json`, a live view with `--watch` on a terminal, plain text otherwise. */
function chooseView({ json, output }: Pick<StatusIo, 'json' | 'output'>, watch: boolean): StatusView {
  if (json) return createStatusJson(output)
  return watch && isRedrawable(output) ? createStatusLive(output) : createStatusBlocks(output)
}
