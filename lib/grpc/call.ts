import { type ClientHttp2Session, type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import { frameHeader, frameMessage, readFrames } from './frames.ts'
import { BROKEN_OFF, GrpcError } from './grpc-error.ts'
import type { Method } from './service.ts'
import { decodeStatusText, STATUS } from './status.ts'

/** A call of several messages in both directions. */
export interface OpenCall<Response> {
  /** Sends one encoded message, given in parts; resolves when there is room for more. */
  send(parts: readonly Buffer[]): Promise<void>
  /** Sends the last message, if there is one. */
  end(message?: Buffer): void
  readonly answers: AsyncIterable<Response>
  /** Cancels the call unless it has ended. */
  cancel(): void
}

export interface CallTerms {
  /** Metadata. */
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
  /** Longest time of the call; `Infinity` for none. */
  readonly timeoutMs?: number
  /** Longest message of an answer; RESOURCE_EXHAUSTED is thrown instead of a longer one. */
  readonly maxBytes?: number | undefined
}

export function startCall<Request, Response>(
  session: ClientHttp2Session,
  method: Method<Request, Response>,
  terms: CallTerms,
): OpenCall<Response> {
  const { signal, timeoutMs = Infinity } = terms
  const stream = session.request(requestHeaders(method.path, terms), { endStream: false, ...(signal && { signal }) })
  // The reader of the answers gets the error. Without a listener, an error that nobody reads would end the process.
  stream.on('error', () => {})
  const timer =
    timeoutMs === Infinity ? undefined : setTimeout(() => stream.destroy(deadlineExceeded(method.path)), timeoutMs)
  stream.once('close', () => clearTimeout(timer))
  return {
    send: parts => send(stream, parts),
    end: message => (message ? stream.end(frameMessage(message)) : stream.end()),
    answers: readAnswers(stream, method, terms),
    cancel: () => stream.close(constants.NGHTTP2_CANCEL),
  }
}

function requestHeaders(path: string, { headers, timeoutMs = Infinity }: CallTerms) {
  return {
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(timeoutMs !== Infinity && { 'grpc-timeout': `${timeoutMs}m` }),
    ...headers,
  }
}

function deadlineExceeded(path: string): GrpcError {
  return new GrpcError(path.slice(1), STATUS.DEADLINE_EXCEEDED, 'no answer in time')
}

function send(stream: ClientHttp2Stream, parts: readonly Buffer[]): Promise<void> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  stream.cork()
  stream.write(frameHeader(length))
  for (const part of parts) stream.write(part)
  stream.uncork()
  return stream.writableNeedDrain ? drained(stream) : Promise.resolve()
}

/** Also resolves when the call has ended: its answers report why. */
function drained(stream: ClientHttp2Stream): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('close', done)
    if (stream.closed || stream.destroyed) done()
  })
}

function readAnswers<Request, Response>(
  stream: ClientHttp2Stream,
  method: Method<Request, Response>,
  { signal, maxBytes }: CallTerms,
): AsyncIterable<Response> {
  let headers: IncomingHttpHeaders = {}
  const keep = (received: IncomingHttpHeaders) => {
    headers = received
  }
  // An answer without messages carries its status in the response headers.
  stream.on('response', keep).on('trailers', keep)
  return (async function* () {
    let cause: unknown
    try {
      for await (const message of readFrames(method.path.slice(1), stream, maxBytes))
        yield method.responseDeserialize(message)
    } catch (error) {
      cause = error
    }
    signal?.throwIfAborted()
    throwUnlessOk(method.path.slice(1), headers, cause)
  })()
}

function throwUnlessOk(method: string, headers: IncomingHttpHeaders, cause: unknown): void {
  if (cause instanceof GrpcError) throw cause
  const status = headers['grpc-status']
  if (status === undefined) throw new GrpcError(method, STATUS.UNAVAILABLE, BROKEN_OFF, { cause })
  const message = decodeStatusText(String(headers['grpc-message'] ?? ''))
  if (Number(status) !== STATUS.OK) throw new GrpcError(method, Number(status), message, { cause, headers })
  if (cause !== undefined) throw cause
}
