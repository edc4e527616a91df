import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { frameMessage } from '../../lib/grpc/frames.ts'
import { ERROR_CODE_HEADER, encodeMessage, type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import type { Incoming } from './incoming.ts'

/** Without a `date`, which node would add: the answer stays as containerd gave it. */
export const HEADERS_ONLY = { endStream: true, sendDate: false }
export const HEADERS_THEN_TRAILERS = { waitForTrailers: true, sendDate: false }

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

/** Answers with one message and OK; does nothing when the caller is gone. */
export function answerMessage({ stream, headers }: Incoming, message: Buffer): void {
  if (stream.destroyed || stream.closed) return
  stream.on('wantTrailers', () => sendTrailers(stream, { 'grpc-status': String(STATUS.OK) }))
  stream.respond({ ':status': 200, 'content-type': headers['content-type'] }, HEADERS_THEN_TRAILERS)
  stream.end(frameMessage(message))
}

/** For the `wantTrailers` event. Node also emits it for a stream that was reset, and then throws at its trailers. */
export function sendTrailers(stream: ServerHttp2Stream, trailers: OutgoingHttpHeaders): void {
  if (stream.destroyed || stream.closed) return
  try {
    stream.sendTrailers(trailers)
    releaseRequest(stream)
  } catch {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }
}

/** Call after the whole answer: makes a caller that still sends its request stop, as gRPC servers do. */
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
