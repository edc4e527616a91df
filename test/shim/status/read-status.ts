import { Client, credentials } from '@grpc/grpc-js'
import { readStatusReport, SHIM_STATUS, type StatusReport } from '../../../shim/wire/status.ts'
import { PATIENCE_MS } from '../../patience.ts'

const { path, requestSerialize, responseDeserialize } = SHIM_STATUS.Watch

/** One report of the shim on that socket. */
export function readStatus(socket: string): Promise<StatusReport> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  const call = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    { watch: false },
    { deadline: Date.now() + PATIENCE_MS },
  )
  return new Promise<StatusReport>((resolve, reject) => {
    call.on('data', report => resolve(readStatusReport(report)))
    call.on('error', reject)
    call.on('end', () => reject(new Error('no report came')))
  }).finally(() => client.close())
}
