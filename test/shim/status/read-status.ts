import { createCalls } from '../../../lib/grpc/calls.ts'
import { createConnection } from '../../../lib/grpc/connection.ts'
import { type StatusReport, WATCH_STATUS } from '../../../shim/wire/status-messages.ts'
import { PATIENCE_MS } from '../../patience.ts'

/** One report of the shim on that socket. */
export async function readStatus(socket: string): Promise<StatusReport> {
  const connection = createConnection(socket)
  try {
    return await createCalls(connection).unary(WATCH_STATUS, { watch: false }, { timeoutMs: PATIENCE_MS })
  } finally {
    connection.close()
  }
}
