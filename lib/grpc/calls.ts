import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import type { Connection } from './connection.ts'
import { frameHeader, frameMessage } from './frame.ts'
import { readFrames } from './frames.ts'
import { BROKEN_OFF, GrpcError } from './grpc-error.ts'
import type { Method } from './methods.ts'
import { decodeMessage, ERROR_CODE_HEADER, STATUS } from './status.ts'

/** Who calls: sent as metadata with every call. */
export interface CallScope {
  readonly namespace?: string | undefined
  readonly lease?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** How long a call waits for somebody to listen; 10 s by default. */
  readonly connectMs?: number | undefined
}

export interface CallOptions {
  /** Longest time, once connected. */
  readonly timeoutMs?: number
  /** Longest message of an answer; RESOURCE_EXHAUSTED is thrown instead of a longer one. */
  readonly maxBytes?: number
}

/** gRPC calls within one scope. They throw a GrpcError, or the signal's reason once that is aborted. */
export interface Calls {
  unary<Request extends object, Response>(
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response>
  /** A call of several messages in both directions. */
  open<Request extends object, Response>(method: Method<Request, Response>): Promise<OpenCall<Response>>
  readonly signal: AbortSignal | undefined
  /** The same connection, another scope. */
  within(scope: CallScope): Calls
}

export interface OpenCall<Response> {
  /** Sends one encoded message, given in parts; resolves when there is room for more. */
  send(parts: readonly Buffer[]): Promise<void>
  /** No more messages. */
  end(): void
  readonly answers: AsyncIterable<Response>
  /** Gives the call up when it has not ended yet. */
  cancel(): void
}

/** For calls that should be answered at once. */
const DEFAULT_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 10_000

export function createCalls(connection: Connection, scope: CallScope = {}): Calls {
  return {
    async unary(method, request, { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes } = {}) {
      const stream = await start(connection, scope, method.path, timeoutMs)
      const timer = setTimeout(() => stream.destroy(deadlineExceeded(method.path)), timeoutMs)
      try {
        stream.end(frameMessage(method.encode(request)))
        return await only(readAnswers(stream, method, { ...scope, maxBytes }), method.path)
      } finally {
        clearTimeout(timer)
        stream.close(constants.NGHTTP2_CANCEL)
      }
    },
    async open(method) {
      const stream = await start(connection, scope, method.path)
      return {
        send: parts => send(stream, parts),
        end: () => stream.end(),
        answers: readAnswers(stream, method, scope),
        cancel: () => stream.close(constants.NGHTTP2_CANCEL),
      }
    },
    signal: scope.signal,
    within: narrower => createCalls(connection, { ...scope, ...narrower }),
  }
}

async function start(connection: Connection, scope: CallScope, path: string, timeoutMs?: number) {
  const { signal, connectMs = CONNECT_TIMEOUT_MS } = scope
  const session = await connection.session({
    method: path.slice(1),
    timeoutMs: Math.min(timeoutMs ?? connectMs, connectMs),
    signal,
  })
  const stream = session.request(requestHeaders(scope, path, timeoutMs), {
    endStream: false,
    ...(signal && { signal }),
  })
  // Whoever reads the answers gets the error; this keeps one that nobody reads from ending the process.
  stream.on('error', () => {})
  return stream
}

function requestHeaders({ namespace, lease }: CallScope, path: string, timeoutMs?: number) {
  return {
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(timeoutMs !== undefined && { 'grpc-timeout': `${timeoutMs}m` }),
    ...(namespace && { 'containerd-namespace': namespace }),
    ...(lease && { 'containerd-lease': lease }),
  }
}

function send(stream: ClientHttp2Stream, parts: readonly Buffer[]): Promise<void> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  stream.cork()
  stream.write(frameHeader(length))
  for (const part of parts) stream.write(part)
  stream.uncork()
  return stream.writableNeedDrain ? drained(stream) : Promise.resolve()
}

/** Resolves as well when the call has ended: its answers tell why. */
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

function readAnswers<Request extends object, Response>(
  stream: ClientHttp2Stream,
  method: Method<Request, Response>,
  { signal, maxBytes }: Pick<CallScope, 'signal'> & { readonly maxBytes?: number | undefined },
): AsyncIterable<Response> {
  let headers: IncomingHttpHeaders = {}
  const keep = (received: IncomingHttpHeaders) => {
    headers = received
  }
  // An answer without messages has its status among the response headers.
  stream.on('response', keep).on('trailers', keep)
  return (async function* () {
    let cause: unknown
    try {
      for await (const message of readFrames(method.path.slice(1), stream, maxBytes)) yield method.decode(message)
    } catch (error) {
      cause = error
    }
    signal?.throwIfAborted()
    throwUnlessOk(method.path, headers, cause)
  })()
}

async function only<T>(answers: AsyncIterable<T>, path: string): Promise<T> {
  const all: T[] = []
  for await (const answer of answers) all.push(answer)
  const [first] = all
  if (first === undefined) throw new GrpcError(path.slice(1), STATUS.UNKNOWN, 'no answer')
  return first
}

function throwUnlessOk(path: string, headers: IncomingHttpHeaders, cause: unknown): void {
  if (cause instanceof GrpcError) throw cause
  const status = headers['grpc-status']
  if (status === undefined) throw new GrpcError(path.slice(1), STATUS.UNAVAILABLE, BROKEN_OFF, { cause })
  if (Number(status) !== STATUS.OK) {
    const errorCode = headers[ERROR_CODE_HEADER]
    throw new GrpcError(path.slice(1), Number(status), decodeMessage(String(headers['grpc-message'] ?? '')), {
      cause,
      ...(typeof errorCode === 'string' && { errorCode }),
    })
  }
  if (cause !== undefined) throw cause
}

function deadlineExceeded(path: string): GrpcError {
  return new GrpcError(path.slice(1), STATUS.DEADLINE_EXCEEDED, 'no answer in time')
}
