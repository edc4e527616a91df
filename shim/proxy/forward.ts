import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { formatTimeout } from './deadline.ts'
import { decodeMessage, type GrpcStatus, STATUS } from './grpc-status.ts'
import { toHeaders } from './headers.ts'
import {
  answerStatus,
  deadlineOf,
  HEADERS_ONLY,
  HEADERS_THEN_TRAILERS,
  type Incoming,
  ignoreError,
  releaseRequest,
} from './incoming.ts'
import type { RequestBody } from './request-body.ts'
import { type Failure, shouldResend } from './retry.ts'
import { type Connection, isLost, type Upstream } from './upstream.ts'

const RESEND_STEP_MS = 50
const RESEND_LIMIT_MS = 250
/** A header is left as it came when a call was passed on within this time. */
const UNNOTICED_MS = 5
/** Longer timers do not exist in node; it fires those at once. */
const MAX_TIMER_MS = 2 ** 31 - 1
const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_FLAG_END_STREAM } = constants

/**
 * Passes one call to containerd and the answer back, frame by frame. While containerd is away the call is held; it is sent
 * again when that is safe (see retry.ts). `onEnd` is called once, with what the caller was told.
 */
export class Forward {
  readonly #incoming: Incoming
  readonly #upstream: Upstream
  readonly #body: RequestBody
  readonly #onEnd: (status: GrpcStatus) => void
  #connection: Connection | undefined
  #up: ClientHttp2Stream | undefined
  #reading = false
  #passedOn = false
  #ended = false
  #trailers: OutgoingHttpHeaders | undefined
  #resends = 0
  #stopWaiting: (() => void) | undefined
  #pause: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(incoming: Incoming, upstream: Upstream, body: RequestBody, onEnd: (status: GrpcStatus) => void) {
    this.#incoming = incoming
    this.#upstream = upstream
    this.#body = body
    this.#onEnd = onEnd
  }

  start(): void {
    const { stream } = this.#incoming
    stream.on('error', ignoreError)
    stream.on('drain', () => this.#up?.resume())
    stream.on('wantTrailers', () => this.#sendTrailers())
    stream.on('close', () => this.#callerLeft())
    this.#sendOrHold()
  }

  /** Ends the call now, with a status when the caller has no answer yet. */
  stop(status: GrpcStatus): void {
    if (this.#ended) return
    const { stream } = this.#incoming
    this.#up?.close(NGHTTP2_CANCEL)
    this.#end(status)
    if (this.#passedOn) stream.close(NGHTTP2_CANCEL)
    else answerStatus(stream, status)
  }

  #sendOrHold(): void {
    const connection = this.#upstream.ready
    if (connection !== undefined) {
      this.#send(connection)
      return
    }
    this.#watchDeadline()
    if (this.#ended) return
    if (this.#reading) this.#incoming.stream.pause()
    this.#stopWaiting = this.#upstream.wait(connection => this.#send(connection))
  }

  #send(connection: Connection): void {
    this.#stopWaiting = undefined
    const { bodiless } = this.#incoming
    let up: ClientHttp2Stream
    try {
      up = connection.session.request(this.#requestHeaders(), { endStream: bodiless })
    } catch (error) {
      this.stop({ code: STATUS.INTERNAL, message: `cannot pass the call on: ${error}` })
      return
    }
    this.#connection = connection
    this.#up = up
    up.on('error', ignoreError)
    up.on('response', (headers, flags, raw) => this.#onResponse(up, headers, flags, raw))
    up.on('close', () => this.#onClose(up))
    if (bodiless) return
    for (const chunk of this.#body.chunks) up.write(chunk)
    if (this.#body.complete) up.end()
    else {
      up.on('drain', () => this.#incoming.stream.resume())
      this.#read()
    }
  }

  #read(): void {
    const { stream } = this.#incoming
    if (this.#reading) {
      stream.resume()
      return
    }
    this.#reading = true
    stream.on('data', (chunk: Buffer) => {
      this.#body.add(chunk)
      if (this.#up?.writable && !this.#up.write(chunk)) stream.pause()
    })
    stream.on('end', () => {
      this.#body.end()
      if (this.#up?.writable) this.#up.end()
    })
  }

  #requestHeaders(): OutgoingHttpHeaders {
    const headers = toHeaders(this.#incoming.rawHeaders, this.#incoming.headers)
    const deadline = headers['grpc-timeout'] === undefined ? undefined : deadlineOf(this.#incoming)
    if (deadline === undefined) return headers
    const now = performance.now()
    if (now - this.#incoming.receivedAt > UNNOTICED_MS) headers['grpc-timeout'] = formatTimeout(deadline - now)
    return headers
  }

  #onResponse(up: ClientHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: readonly string[]): void {
    const { stream } = this.#incoming
    if (this.#ended || up !== this.#up || stream.closed) return
    const bodiless = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
    if (bodiless) up.resume()
    if (bodiless && this.#resend({ kind: 'status', status: statusOf(headers) })) return
    this.#passedOn = true
    this.#body.forget()
    const answer = toHeaders(raw, headers)
    stream.respond(answer, bodiless ? HEADERS_ONLY : HEADERS_THEN_TRAILERS)
    if (bodiless) {
      releaseRequest(stream)
      this.#end(statusOf(headers))
      return
    }
    // Not before: node may emit data ahead of the headers that came with it.
    up.on('trailers', (parsed, _flags, rawTrailers) => {
      this.#trailers = toHeaders(rawTrailers, parsed)
    })
    up.on('data', (chunk: Buffer) => {
      if (!stream.write(chunk)) up.pause()
    })
    up.on('end', () => this.#onAnswerEnd(up))
  }

  #onAnswerEnd(up: ClientHttp2Stream): void {
    // Node ends the readable side of a stream that was cut off, too.
    const orderly = this.#trailers !== undefined || (up.rstCode === 0 && !this.#isLost())
    if (this.#ended || !orderly) return
    this.#incoming.stream.end()
    this.#end(statusOf(this.#trailers ?? {}))
  }

  #sendTrailers(): void {
    const { stream } = this.#incoming
    if (stream.destroyed || stream.closed) return
    stream.sendTrailers(this.#trailers ?? {})
    releaseRequest(stream)
  }

  #onClose(up: ClientHttp2Stream): void {
    if (this.#ended || up !== this.#up) return
    const failure = this.#failureOf(up)
    if (failure !== undefined && !this.#passedOn && this.#resend(failure)) return
    const { stream } = this.#incoming
    if (failure === undefined) {
      stream.close(up.rstCode === 0 ? NGHTTP2_INTERNAL_ERROR : up.rstCode)
      this.#end({ code: STATUS.UNAVAILABLE, message: `containerd reset the call with code ${up.rstCode}` })
      return
    }
    const status = { code: STATUS.UNAVAILABLE, message: 'containerd went away during the call' }
    if (!this.#passedOn) {
      this.stop(status)
      return
    }
    this.#trailers = { 'grpc-status': String(status.code), 'grpc-message': status.message }
    stream.end()
    this.#end(status)
  }

  #failureOf(up: ClientHttp2Stream): Failure | undefined {
    const beyondLast = up.id === undefined || up.id > (this.#connection?.lastStreamId ?? 0)
    if (beyondLast || up.rstCode === NGHTTP2_REFUSED_STREAM) return { kind: 'unprocessed' }
    return this.#isLost() ? { kind: 'cut' } : undefined
  }

  #isLost(): boolean {
    return this.#connection !== undefined && isLost(this.#connection)
  }

  /** Whether the call was taken up again. */
  #resend(failure: Failure): boolean {
    const { path, receivedAt } = this.#incoming
    if (!this.#body.replayable || !shouldResend(path, failure, performance.now() - receivedAt)) return false
    this.#up = undefined
    this.#connection = undefined
    if (this.#reading) this.#incoming.stream.pause()
    this.#watchDeadline()
    if (this.#ended) return true
    // The first one at once: mostly there is a new connection to be had.
    const pauseMs = Math.min(this.#resends * RESEND_STEP_MS, RESEND_LIMIT_MS)
    this.#resends += 1
    this.#pause = setTimeout(() => this.#sendOrHold(), pauseMs)
    return true
  }

  #watchDeadline(): void {
    if (this.#deadline !== undefined) return
    const deadline = deadlineOf(this.#incoming)
    if (deadline === undefined) return
    const left = deadline - performance.now()
    const status = { code: STATUS.DEADLINE_EXCEEDED, message: 'deadline exceeded while containerd was away' }
    if (left <= 0) this.stop(status)
    else if (left <= MAX_TIMER_MS) this.#deadline = setTimeout(() => this.stop(status), left)
  }

  #callerLeft(): void {
    if (this.#ended) return
    const code = this.#incoming.stream.rstCode
    this.#up?.close(code === 0 ? NGHTTP2_CANCEL : code)
    this.#end({ code: STATUS.CANCELLED, message: 'the caller cancelled' })
  }

  #end(status: GrpcStatus): void {
    this.#ended = true
    this.#stopWaiting?.()
    clearTimeout(this.#pause)
    clearTimeout(this.#deadline)
    // An answer that came before the request was sent whole: nobody needs the rest, and node would keep the stream.
    if (this.#up?.writableFinished === false) this.#up.destroy()
    this.#body.forget()
    this.#onEnd(status)
  }
}

function statusOf(headers: IncomingHttpHeaders | OutgoingHttpHeaders): GrpcStatus {
  const code = Number(headers['grpc-status'] ?? STATUS.UNKNOWN)
  const message = headers['grpc-message']
  return { code, message: decodeMessage(typeof message === 'string' ? message : '') }
}
