import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { frameMessage } from '../../lib/grpc/frames.ts'
import {
  decodeStatusText,
  ERROR_CODE_HEADER,
  encodeStatusText,
  type GrpcStatus,
  STATUS,
} from '../../lib/grpc/status.ts'
import { type Incoming, toHeaders } from './incoming.ts'

/** Without `date`, which node would add to the answer of containerd. */
const HEADERS_ONLY = { endStream: true, sendDate: false }
export const HEADERS_THEN_TRAILERS = { waitForTrailers: true, sendDate: false }

/** Passes containerd's answer on to the caller: headers, bytes, trailers. */
export class AnswerPipe {
  readonly #stream: ServerHttp2Stream
  #up: ClientHttp2Stream | undefined
  #trailers: OutgoingHttpHeaders | undefined

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream
    stream.on('drain', () => this.#up?.resume())
    stream.on('wantTrailers', () => sendTrailers(stream, this.#trailers ?? {}))
  }

  /** Passes on an answer of headers only. Throws if node rejects them. */
  passHeaders(headers: IncomingHttpHeaders, raw: readonly string[]): void {
    this.#stream.respond(toHeaders(raw, headers), HEADERS_ONLY)
    releaseRequest(this.#stream)
  }

  /** Calls `onEnd` once when the answer has ended in order; the caller's ends when its promise is settled. Throws if node rejects the headers. */
  pass(
    up: ClientHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: readonly string[],
    onEnd: (status: GrpcStatus) => Promise<void> | undefined,
  ) {
    const stream = this.#stream
    stream.respond(toHeaders(raw, headers), HEADERS_THEN_TRAILERS)
    this.#up = up
    up.on('trailers', (parsed, _flags, rawTrailers) => {
      this.#trailers = toHeaders(rawTrailers, parsed)
    })
    // Only after the headers were passed on: node may emit data before the headers that came with it.
    up.on('data', (chunk: Buffer) => {
      if (stream.writable && !stream.write(chunk)) up.pause()
    })
    up.on('end', () => {
      // Node also ends the readable side of a stream that was cut off.
      if (this.#trailers === undefined && (up.rstCode !== constants.NGHTTP2_NO_ERROR || up.session === undefined))
        return
      const held = onEnd(statusOf(this.#trailers ?? {}))
      if (held) void held.finally(() => stream.end())
      else stream.end()
    })
  }

  /** Ends the answer with a status of the proxy, at any point. */
  fail(status: GrpcStatus): void {
    if (!this.#stream.headersSent) {
      answerStatus(this.#stream, status)
      return
    }
    this.#trailers = { 'grpc-status': String(status.code), 'grpc-message': encodeStatusText(status.message) }
    this.#stream.end()
  }
}

/** The status in headers or trailers; UNKNOWN if there is none. */
export function statusOf(headers: IncomingHttpHeaders | OutgoingHttpHeaders): GrpcStatus {
  const code = Number(headers['grpc-status'] ?? STATUS.UNKNOWN)
  const message = headers['grpc-message']
  return { code, message: decodeStatusText(typeof message === 'string' ? message : '') }
}

/** Answers with a status only. Does nothing if the caller is gone or has headers already. */
export function answerStatus(stream: ServerHttp2Stream, { code, message, errorCode }: GrpcStatus): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': String(code),
      'grpc-message': encodeStatusText(message),
      ...(errorCode === undefined ? {} : { [ERROR_CODE_HEADER]: errorCode }),
    },
    HEADERS_ONLY,
  )
  releaseRequest(stream)
}

/** Answers with one message and OK. Does nothing if the caller is gone. */
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

/** For use after the whole answer: makes a caller that is still sending its request stop, as gRPC servers do. */
function releaseRequest(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return
  // Node queues trailers by setImmediate too; this comes behind them.
  setImmediate(() => {
    if (stream.destroyed) return
    stream.close(constants.NGHTTP2_NO_ERROR)
    // Node keeps a stream until all of its data is read.
    stream.resume()
  })
}
