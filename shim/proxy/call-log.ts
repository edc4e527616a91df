import type { Logger } from 'pino'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import type { Incoming } from './incoming.ts'

/** An error message may quote much of a request; the head says what happened. */
const LOGGED_MESSAGE_CHARACTERS = 500

/** One line per failed call: which, how, how long. Never what was asked, which may hold credentials. */
export function logFailure(logger: Logger, { path, receivedAt }: Incoming, { code, message }: GrpcStatus): void {
  if (code === STATUS.OK) return
  const fields = {
    path,
    grpcStatus: code,
    grpcMessage: message.slice(0, LOGGED_MESSAGE_CHARACTERS),
    ms: Math.round(performance.now() - receivedAt),
  }
  if (code === STATUS.CANCELLED) logger.info(fields, 'call cancelled')
  else logger.warn(fields, 'call failed')
}
