import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'

/** Ends a call whose caller went away. */
export const CANCELLED: GrpcStatus = { code: STATUS.CANCELLED, message: 'the caller cancelled' }

/** A call as it came from the caller. */
export interface Incoming {
  readonly stream: ServerHttp2Stream
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** No request message follows the headers. */
  readonly bodiless: boolean
  /** By `performance.now()`. */
  readonly receivedAt: number
}

export function readIncoming(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
): Incoming {
  return {
    stream,
    path: headers[':path'] ?? '',
    headers,
    rawHeaders,
    bodiless: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
    receivedAt: performance.now(),
  }
}

/** The error event of a stream says nothing that its close event does not. */
export function ignoreError(): void {}
