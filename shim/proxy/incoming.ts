import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { ERROR_CODE_HEADER, encodeMessage, type GrpcStatus } from '../../lib/grpc/status.ts'
import { parseTimeout } from './deadline.ts'
import { single } from './headers.ts'

/** Node adds a `date` to every response unless told: the answer is to be as containerd gave it. */
export const HEADERS_ONLY = { endStream: true, sendDate: false }
export const HEADERS_THEN_TRAILERS = { waitForTrailers: true, sendDate: false }

/** A call as it came from the caller. */
export interface Incoming {
  readonly stream: ServerHttp2Stream
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** The headers were all of it: no request message follows. */
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

/** When the caller's deadline passes, by `performance.now()`; undefined when it has none. */
export function deadlineOf({ headers, receivedAt }: Incoming): number | undefined {
  const timeout = parseTimeout(single(headers['grpc-timeout']))
  return timeout === undefined ? undefined : receivedAt + timeout
}

/** Answers with nothing but a status; does nothing when the caller is gone or has headers already. */
export function answerStatus(stream: ServerHttp2Stream, { code, message, errorCode }: GrpcStatus): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(code),
      'grpc-message': encodeMessage(message),
      ...(errorCode === undefined ? {} : { [ERROR_CODE_HEADER]: errorCode }),
    },
    HEADERS_ONLY,
  )
  releaseRequest(stream)
}

/** For the `wantTrailers` event. Node wants trailers of a stream that was reset, too, and throws when it gets them. */
export function sendTrailers(stream: ServerHttp2Stream, trailers: OutgoingHttpHeaders): void {
  if (stream.destroyed || stream.closed) return
  try {
    stream.sendTrailers(trailers)
    releaseRequest(stream)
  } catch {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }
}

/** After the whole answer is given: a caller that is still sending its request is told to stop, as gRPC servers do. */
export function releaseRequest(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return
  // Node queues trailers by setImmediate too; this comes behind them.
  setImmediate(() => {
    if (stream.destroyed) return
    stream.close(constants.NGHTTP2_NO_ERROR)
    // Node keeps a stream until what came last is read.
    stream.resume()
  })
}

/** The error events of streams say nothing that their close events do not. */
export function ignoreError(): void {}
