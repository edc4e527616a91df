import { toShimError } from '../../lib/errors.ts'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import type { UnaryInterceptor, UnaryOutcome } from './contract.ts'
import { single } from './headers.ts'
import { answerStatus, HEADERS_THEN_TRAILERS, type Incoming, sendTrailers } from './incoming.ts'
import { frameMessage, readMessage } from './message-frame.ts'
import { OwnCall } from './own-call.ts'
import { RequestBody } from './request-body.ts'

/** The call has ended, with that status for the caller. */
export type OnEnd = (status: GrpcStatus) => void

export interface InterceptOptions {
  readonly interceptor: UnaryInterceptor
  /** Passes the call on to containerd. */
  readonly forward: (incoming: Incoming, body: RequestBody, onEnd: OnEnd) => void
  readonly onEnd: OnEnd
  /** The call is over, or containerd's. */
  readonly onRelease: () => void
}

/** Reads a unary request whole, asks the interceptor, and does what it says. */
export function intercept(incoming: Incoming, { interceptor, forward, onEnd, onRelease }: InterceptOptions): OwnCall {
  const { stream, headers } = incoming
  const answer = (status: GrpcStatus) => {
    answerStatus(stream, status)
    onEnd(status)
  }
  const call = new OwnCall(incoming, { answer, onRelease })
  const apply = (body: Buffer, outcome: UnaryOutcome) => {
    call.release()
    if (outcome.kind === 'forward')
      return forward(incoming, RequestBody.whole(body), status => {
        onEnd(status)
        outcome.afterwards?.(status.code)
      })
    answerMessage(incoming, outcome.message)
    onEnd({ code: STATUS.OK, message: '' })
  }
  call.readRequest(async body => {
    try {
      const request = await readMessage(body, single(headers['grpc-encoding']))
      const outcome = request === undefined ? FORWARD : await interceptor(call.toUnaryCall(request))
      if (call.running) apply(body, outcome)
    } catch (error) {
      if (!call.running) return
      call.release()
      const { message, code: errorCode } = toShimError(error)
      answer({ code: STATUS.UNKNOWN, message, errorCode })
    }
  })
  return call
}

const FORWARD: UnaryOutcome = { kind: 'forward' }

function answerMessage({ stream, headers }: Incoming, message: Buffer): void {
  if (stream.destroyed || stream.closed) return
  stream.on('wantTrailers', () => sendTrailers(stream, { 'grpc-status': String(STATUS.OK) }))
  stream.respond({ ':status': 200, 'content-type': headers['content-type'] }, HEADERS_THEN_TRAILERS)
  stream.end(frameMessage(message))
}
