import { Client, credentials } from '@grpc/grpc-js'
import { RetryableError } from '../../lib/errors.ts'
import { isRedrawable } from '../../lib/text/redrawable.ts'
import { WATCH_STATUS_PATH } from '../wire/methods.ts'
import { decodeStatusReport, encodeStatusRequest, type StatusReport } from '../wire/status-messages.ts'
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
  const client = new Client(`unix://${socket}`, credentials.createInsecure())
  const view = chooseView({ json, output }, watch)
  // Whoever reads the output may have seen enough.
  const reader = new AbortController()
  output.on('error', () => reader.abort())
  const end = AbortSignal.any([signal, reader.signal])
  try {
    const reports = await follow(client, { socket, watch }, end, view.show)
    if (watch || reports === 0) throw new RetryableError('ShimAway', `the shim on ${socket} has stopped`)
  } catch (error) {
    if (!reader.signal.aborted && !(watch && signal.aborted)) throw error
  } finally {
    view.close()
    client.close()
  }
}

/** Longest time until the first report: the shim itself waits for containerd and for nix, for some seconds each. */
const FIRST_LIMIT_MS = 30_000

/** Resolves to the number of reports when the shim has said all that it will say. */
function follow(
  client: Client,
  { socket, watch }: StatusArguments,
  signal: AbortSignal,
  onReport: (report: StatusReport) => void,
): Promise<number> {
  let reports = 0
  const call = client.makeServerStreamRequest(WATCH_STATUS_PATH, encodeStatusRequest, decodeStatusReport, { watch })
  return new Promise((resolve, reject) => {
    const cancel = () => call.cancel()
    const giveUp = () => {
      reject(new RetryableError('ShimAway', `what listens on ${socket} says nothing for ${FIRST_LIMIT_MS / 1000} s`))
      cancel()
    }
    const timer = setTimeout(giveUp, FIRST_LIMIT_MS)
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()
    call.on('data', (report: StatusReport) => {
      clearTimeout(timer)
      reports += 1
      onReport(report)
    })
    call.on('end', () => resolve(reports))
    call.on('error', error => reject(clientError(error, socket)))
    call.on('status', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', cancel)
    })
  })
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
