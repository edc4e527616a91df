import { once } from 'node:events'
import type { ServerHttp2Stream } from 'node:http2'
import { toShimError } from '../../lib/errors.ts'
import { frameMessage } from '../../lib/grpc/frames.ts'
import { ERROR_CODE_HEADER, encodeStatusText, type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { answerStatus, HEADERS_THEN_TRAILERS, sendTrailers } from './answer.ts'
import type { StreamHandler } from './contract.ts'
import type { Incoming } from './incoming.ts'
import { OwnCall } from './own-call.ts'

export interface ServeOptions {
  readonly handler: StreamHandler
  /** Called once, with the status that the caller got. */
  readonly onEnd: (status: GrpcStatus) => void
  readonly onRelease: () => void
}

/** Answers a server-streaming call of a method that the shim itself serves. */
export function serveStream(incoming: Incoming, { handler, onEnd, onRelease }: ServeOptions): OwnCall {
  const { stream } = incoming
  const answer = (status: GrpcStatus) => {
    if (stream.headersSent) endWithTrailers(stream, status)
    else answerStatus(stream, status)
    onEnd(status)
  }
  const call = new OwnCall(incoming, { answer, onRelease })
  const finish = (status: GrpcStatus) => {
    if (!call.running) return
    call.release()
    answer(status)
  }
  call.readRequest(async body => {
    try {
      const request = await call.decode(body)
      if (request === undefined) return finish(UNREADABLE)
      await writeItems(call, handler(call.toUnaryCall(request)))
      finish({ code: STATUS.OK, message: '' })
    } catch (error) {
      const { message, code: errorCode } = toShimError(error)
      finish({ code: STATUS.UNKNOWN, message, errorCode })
    }
  })
  return call
}

const UNREADABLE: GrpcStatus = { code: STATUS.UNIMPLEMENTED, message: 'the request message cannot be read' }

async function writeItems(call: OwnCall, items: AsyncIterable<Buffer>): Promise<void> {
  const { stream, headers } = call.incoming
  if (!call.running) return
  stream.respond({ ':status': 200, 'content-type': headers['content-type'] }, HEADERS_THEN_TRAILERS)
  for await (const item of items) {
    if (!call.running) return
    if (!stream.write(frameMessage(item))) await once(stream, 'drain', { signal: call.signal })
  }
}

function endWithTrailers(stream: ServerHttp2Stream, { code, message, errorCode }: GrpcStatus): void {
  const details = {
    ...(message === '' ? {} : { 'grpc-message': encodeStatusText(message) }),
    ...(errorCode === undefined ? {} : { [ERROR_CODE_HEADER]: errorCode }),
  }
  stream.on('wantTrailers', () => sendTrailers(stream, { 'grpc-status': String(code), ...details }))
  stream.end()
}
