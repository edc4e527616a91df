import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { decodeMessage, encodeMessage, type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { answerStatus, HEADERS_ONLY, HEADERS_THEN_TRAILERS, releaseRequest, sendTrailers } from './answer.ts'
import { toHeaders } from './headers.ts'

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

  /** Passes an answer on that consists of headers only. Throws if node rejects them. */
  passHeaders(headers: IncomingHttpHeaders, raw: readonly string[]): void {
    this.#stream.respond(toHeaders(raw, headers), HEADERS_ONLY)
    releaseRequest(this.#stream)
  }

  /** Calls `onEnd` once when the answer has ended in order. Throws if node rejects the headers. */
  pass(up: ClientHttp2Stream, headers: IncomingHttpHeaders, raw: readonly string[], onEnd: (s: GrpcStatus) => void) {
    const stream = this.#stream
    stream.respond(toHeaders(raw, headers), HEADERS_THEN_TRAILERS)
    this.#up = up
    up.on('trailers', (parsed, _flags, rawTrailers) => {
      this.#trailers = toHeaders(rawTrailers, parsed)
    })
    // Only after the headers are passed on: node may emit data ahead of the headers that came with it.
    up.on('data', (chunk: Buffer) => {
      if (stream.writable && !stream.write(chunk)) up.pause()
    })
    up.on('end', () => {
      // Node also ends the readable side of a stream that was cut off.
      if (this.#trailers === undefined && (up.rstCode !== constants.NGHTTP2_NO_ERROR || up.session === undefined))
        return
      stream.end()
      onEnd(statusOf(this.#trailers ?? {}))
    })
  }

  /** Ends the answer with a status of the proxy, however far it has come. */
  fail(status: GrpcStatus): void {
    if (!this.#stream.headersSent) {
      answerStatus(this.#stream, status)
      return
    }
    this.#trailers = { 'grpc-status': String(status.code), 'grpc-message': encodeMessage(status.message) }
    this.#stream.end()
  }
}

/** The status in headers or trailers; UNKNOWN if there is none. */
export function statusOf(headers: IncomingHttpHeaders | OutgoingHttpHeaders): GrpcStatus {
  const code = Number(headers['grpc-status'] ?? STATUS.UNKNOWN)
  const message = headers['grpc-message']
  return { code, message: decodeMessage(typeof message === 'string' ? message : '') }
}
