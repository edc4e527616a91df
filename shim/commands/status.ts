import { Client, credentials } from '@grpc/grpc-js'
import { RetryableError } from '../../lib/errors.ts'
import { decodeStatusReport, encodeStatusRequest, type StatusReport } from '../status/messages.ts'
import { STATUS_PATH } from '../status/status-stream.ts'
import { createStatusView } from '../status/status-view.ts'
import { clientError } from './client-error.ts'

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
  const view = createStatusView({ watch, json, output })
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
  const call = client.makeServerStreamRequest(STATUS_PATH, encodeStatusRequest, decodeStatusReport, { watch })
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
