import { toShimError } from '../../lib/errors.ts'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { answerMessage, answerStatus } from './answer.ts'
import type { UnaryInterceptor, UnaryOutcome } from './contract.ts'
import type { Incoming } from './incoming.ts'
import { OwnCall } from './own-call.ts'
import { RequestBody } from './request-body.ts'

/**
 * Called once when the call has ended, with the status that the caller gets. A promise that it returns, which must not reject, holds the
 * end of an answer.
 */
export type OnEnd = (status: GrpcStatus) => Promise<void> | void

export interface InterceptOptions {
  readonly interceptor: UnaryInterceptor
  /** Passes the call on to containerd. */
  readonly forward: (incoming: Incoming, body: RequestBody, onEnd: OnEnd) => void
  readonly onEnd: OnEnd
  /** Called once, when the call is over or forwarded. */
  readonly onRelease: () => void
}

/** Reads the whole request of a unary call, asks the interceptor, and forwards or answers the call. */
export function intercept(incoming: Incoming, { interceptor, forward, onEnd, onRelease }: InterceptOptions): OwnCall {
  const { stream } = incoming
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
        return outcome.afterwards?.(status.code)
      })
    answerMessage(incoming, outcome.message)
    onEnd({ code: STATUS.OK, message: '' })
  }
  call.readRequest(async body => {
    try {
      const request = await call.decode(body)
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
