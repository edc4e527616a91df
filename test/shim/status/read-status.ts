import { createClient } from '../../../lib/grpc/client.ts'
import { type StatusReport, WATCH_STATUS } from '../../../shim/wire/status.ts'
import { PATIENCE_MS } from '../../patience.ts'

/** Reads one report from the shim on that socket. */
export async function readStatus(socket: string): Promise<StatusReport> {
  using client = createClient(socket)
  return await client.unary(WATCH_STATUS, { watch: false }, { timeoutMs: PATIENCE_MS })
}
