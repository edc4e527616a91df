import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { within } from '../../lib/async/bounded-wait.ts'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { MAX_TIMER_MS } from '../../lib/text/units.ts'
import { AnswerPipe, statusOf } from './answer.ts'
import { deadlineOf, formatTimeout } from './deadline.ts'
import { CANCELLED, type Incoming, ignoreError, toHeaders } from './incoming.ts'
import type { OnEnd } from './intercept.ts'
import type { RequestBody } from './request-body.ts'
import { type Failure, shouldResend } from './resend.ts'
import { type Connection, isLost, type Upstream } from './upstream.ts'

/** The pause before a call is sent again starts at 0 and grows by a step up to the limit. */
const RESEND_STEP_MS = 50
const RESEND_LIMIT_MS = 250
/** Longest time for which the end of an answer is held. The kubelet gives up after two minutes. */
const HOLD_LIMIT_MS = 60_000
/** The time before the caller's deadline that an answer needs to reach it. */
const HOLD_MARGIN_MS = 500
/** `grpc-timeout` stays unchanged if a call is passed on within this time. */
const UNNOTICED_MS = 5
const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_FLAG_END_STREAM } = constants

/**
 * Passes one call to its upstream (containerd, or another image service) and the answer back. Holds the call while the upstream
 * is away, and sends it again if that is safe (see resend.ts). Calls `onEnd` once, with the status that the caller got.
 */
export class Forward {
  readonly #incoming: Incoming
  readonly #upstream: Upstream
  readonly #body: RequestBody
  readonly #answer: AnswerPipe
  readonly #onEnd: OnEnd
  #try: { readonly up: ClientHttp2Stream; readonly connection: Connection } | undefined
  #answering = false
  #ended = false
  #resends = 0
  #firstStatusAt: number | undefined
  #stopWaiting: (() => void) | undefined
  #pause: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(incoming: Incoming, upstream: Upstream, body: RequestBody, onEnd: OnEnd) {
    this.#incoming = incoming
    this.#upstream = upstream
    this.#body = body
    this.#answer = new AnswerPipe(incoming.stream)
    this.#onEnd = onEnd
  }

  start(): void {
    this.#incoming.stream.on('error', ignoreError)
    this.#incoming.stream.on('close', () => this.#callerLeft())
    this.#sendOrHold()
  }

  /** Ends the call now, also upstream. */
  stop(status: GrpcStatus): void {
    if (this.#ended) return
    this.#try?.up.close(NGHTTP2_CANCEL)
    this.#end(status)
    this.#answer.fail(status)
  }

  #sendOrHold(): void {
    const connection = this.#upstream.ready
    if (connection !== undefined) {
      this.#send(connection)
      return
    }
    if (this.#enforceDeadline()) return
    this.#stopWaiting = this.#upstream.wait(connection => this.#send(connection))
  }

  #send(connection: Connection): void {
    const { bodiless } = this.#incoming
    let up: ClientHttp2Stream
    try {
      up = connection.session.request(this.#requestHeaders(), { endStream: bodiless })
    } catch (error) {
      this.stop({ code: STATUS.INTERNAL, message: `cannot pass the call on: ${error}` })
      return
    }
    this.#try = { up, connection }
    up.on('error', ignoreError)
    up.on('response', (headers, flags, raw) => this.#onResponse(up, headers, flags, raw))
    up.on('close', () => this.#onClose(up, connection))
    if (!bodiless) this.#body.sendTo(up)
  }

  #requestHeaders(): OutgoingHttpHeaders {
    const headers = toHeaders(this.#incoming.rawHeaders, this.#incoming.headers)
    const now = performance.now()
    if (now - this.#incoming.receivedAt <= UNNOTICED_MS) return headers
    const deadline = deadlineOf(this.#incoming)
    if (deadline !== undefined) headers['grpc-timeout'] = formatTimeout(deadline - now)
    return headers
  }

  #onResponse(up: ClientHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: readonly string[]): void {
    if (this.#ended || up !== this.#try?.up || this.#incoming.stream.closed) return
    const isStatusOnly = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
    if (isStatusOnly) {
      up.resume()
      if (this.#resend({ kind: 'status', status: statusOf(headers) })) return
    }
    try {
      if (isStatusOnly) this.#answer.passHeaders(headers, raw)
      else this.#answer.pass(up, headers, raw, status => this.#end(status))
    } catch (error) {
      this.stop({ code: STATUS.INTERNAL, message: `cannot pass the answer on: ${error}` })
      return
    }
    this.#answering = true
    this.#body.forget()
    if (isStatusOnly) this.#end(statusOf(headers))
  }

  #onClose(up: ClientHttp2Stream, connection: Connection): void {
    if (this.#ended || up !== this.#try?.up) return
    const failure = failureOf(up, connection)
    if (failure === undefined) {
      this.#incoming.stream.close(up.rstCode === 0 ? NGHTTP2_INTERNAL_ERROR : up.rstCode)
      this.#end({ code: STATUS.UNAVAILABLE, message: `${this.#upstream.name} reset the call with code ${up.rstCode}` })
    } else if (this.#answering || !this.#resend(failure)) {
      this.stop({ code: STATUS.UNAVAILABLE, message: `${this.#upstream.name} went away during the call` })
    }
  }

  /** Whether the call needs nothing more from this try: it will be sent again, or its deadline has just ended it. */
  #resend(failure: Failure): boolean {
    if (failure.kind === 'status') this.#firstStatusAt ??= performance.now()
    const refusedForMs = performance.now() - (this.#firstStatusAt ?? performance.now())
    if (!this.#body.replayable || !shouldResend(this.#incoming.path, failure, refusedForMs)) return false
    this.#try = undefined
    this.#body.hold()
    if (this.#enforceDeadline()) return true
    const pauseMs = Math.min(this.#resends * RESEND_STEP_MS, RESEND_LIMIT_MS)
    this.#resends += 1
    this.#pause = setTimeout(() => this.#sendOrHold(), pauseMs)
    return true
  }

  /** The upstream may not know of the call: from here on the proxy enforces the deadline. Returns whether it has ended the call already. */
  #enforceDeadline(): boolean {
    const deadline = this.#deadline === undefined ? deadlineOf(this.#incoming) : undefined
    if (deadline === undefined) return this.#ended
    const left = deadline - performance.now()
    if (left <= 0) this.#expire()
    else if (left <= MAX_TIMER_MS) this.#deadline = setTimeout(() => this.#expire(), left)
    return this.#ended
  }

  #expire(): void {
    const message = `deadline exceeded, after ${this.#upstream.name} was away`
    this.stop({ code: STATUS.DEADLINE_EXCEEDED, message })
  }

  #callerLeft(): void {
    if (this.#ended) return
    this.#try?.up.close(this.#incoming.stream.rstCode || NGHTTP2_CANCEL)
    this.#end(CANCELLED)
  }

  /** The promise holds the end of the answer. */
  #end(status: GrpcStatus): Promise<void> | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    this.#stopWaiting?.()
    clearTimeout(this.#pause)
    clearTimeout(this.#deadline)
    // The answer came before the whole request was sent. The upstream needs no more of it, and node would keep the stream.
    if (this.#try?.up.writableFinished === false) this.#try.up.destroy()
    this.#body.forget()
    const held = this.#onEnd(status)
    return held ? this.#hold(held) : undefined
  }

  /** Resolves when the promise is settled, or when the answer must go to its caller. */
  async #hold(promise: Promise<void>): Promise<void> {
    const left = (deadlineOf(this.#incoming) ?? Number.POSITIVE_INFINITY) - performance.now() - HOLD_MARGIN_MS
    await within(Math.max(0, Math.min(left, HOLD_LIMIT_MS)), promise)
  }
}

/** Why a try ended early; undefined if the upstream reset it on purpose. */
function failureOf(up: ClientHttp2Stream, connection: Connection): Failure | undefined {
  const unseen = up.id === undefined || up.id > connection.lastStreamId
  if (unseen || up.rstCode === NGHTTP2_REFUSED_STREAM) return { kind: 'unprocessed' }
  return isLost(connection) ? { kind: 'cut' } : undefined
}
