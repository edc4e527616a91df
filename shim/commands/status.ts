import { RetryableError } from '../../lib/errors.ts'
import { isRedrawable } from '../../lib/text/terminal.ts'
import { WATCH_STATUS } from '../wire/status.ts'
import { createShimClient } from './shim-client.ts'
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

/** Longest time until the first report: the shim itself waits for containerd and nix, some seconds each. */
const FIRST_LIMIT_MS = 30_000

/** Shows what a shim does and holds. Throws Cancelled, or ShimAway, also when a watched shim stops. */
export async function status({ socket, watch }: StatusArguments, { json, output, signal }: StatusIo): Promise<void> {
  const view = chooseView({ json, output }, watch)
  // The reader of the output may have seen enough.
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
