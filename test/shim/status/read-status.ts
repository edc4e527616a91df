import { Client, credentials } from '@grpc/grpc-js'
import { WATCH_STATUS_PATH } from '../../../shim/wire/methods.ts'
import { decodeStatusReport, encodeStatusRequest, type StatusReport } from '../../../shim/wire/status-messages.ts'
import { PATIENCE_MS } from '../../patience.ts'

/** One report of the shim on that socket. */
export function readStatus(socket: string): Promise<StatusReport> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const call = client.makeServerStreamRequest(
    WATCH_STATUS_PATH,
    encodeStatusRequest,
    decodeStatusReport,
    { watch: false },
    { deadline: Date.now() + PATIENCE_MS },
  )
  return new Promise<StatusReport>((resolve, reject) => {
    call.on('data', resolve)
    call.on('error', reject)
    call.on('end', () => reject(new Error('no report came')))
  }).finally(() => client.close())
}
