import { type CallTerms, type OpenCall, startCall } from './call.ts'
import { type Connection, createConnection } from './connection.ts'
import { GrpcError } from './grpc-error.ts'
import type { Method } from './service.ts'
import { STATUS } from './status.ts'

/** What applies to every call: its metadata, and the signal that cancels it. */
export type CallScope = Pick<CallTerms, 'headers' | 'signal'>
export type CallOptions = Pick<CallTerms, 'timeoutMs' | 'maxBytes'>

/** gRPC calls within one scope. They throw a GrpcError, or the signal's reason once that is aborted. */
export interface Calls {
  unary<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response>
  /** One request, any number of answers. The call is cancelled when its reader stops early. */
  serverStream<Request, Response>(method: Method<Request, Response>, request: Request): AsyncGenerator<Response>
  open<Request, Response>(method: Method<Request, Response>): Promise<OpenCall<Response>>
  readonly signal: AbortSignal | undefined
  /** The same connection, another scope; headers are added. */
  within(scope: CallScope): Calls
}

export interface GrpcClient extends Calls, Disposable {
  /** Resolves when the server accepts connections. Throws a GrpcError if it does not in time. */
  waitUntilConnected(timeoutMs: number): Promise<void>
}

export interface ClientOptions extends CallScope {
  /** How long a call waits for a server that does not accept connections. */
  readonly connectTimeoutMs?: number
}

const CONNECT_TIMEOUT_MS = 10_000

/** A client on a unix socket. It connects at the first call, and again after the connection was lost. */
export function createClient(
  address: string,
  { connectTimeoutMs = CONNECT_TIMEOUT_MS, ...scope }: ClientOptions = {},
): GrpcClient {
  const connection = createConnection(address)
  return {
    ...createCalls({ connection, connectTimeoutMs }, scope),
    async waitUntilConnected(timeoutMs) {
      await connection.session({ method: 'connect', timeoutMs })
    },
    [Symbol.dispose]: () => connection.close(),
  }
}

interface Server {
  readonly connection: Connection
  readonly connectTimeoutMs: number
}

/** Default for calls that need no work from the server. */
const DEFAULT_TIMEOUT_MS = 30_000

function createCalls(server: Server, scope: CallScope): Calls {
  return {
    async unary(method, request, { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes } = {}) {
      const call = await connectCall(server, method, { ...scope, timeoutMs, maxBytes })
      try {
        call.end(method.requestSerialize(request))
        return await firstOf(call.answers, method.path)
      } finally {
        call.cancel()
      }
    },
    async *serverStream(method, request) {
      const call = await connectCall(server, method, scope)
      try {
        call.end(method.requestSerialize(request))
        yield* call.answers
      } finally {
        call.cancel()
      }
    },
    open: method => connectCall(server, method, scope),
    signal: scope.signal,
    within: narrower =>
      createCalls(server, { ...scope, ...narrower, headers: { ...scope.headers, ...narrower.headers } }),
  }
}

async function connectCall<Request, Response>(
  { connection, connectTimeoutMs }: Server,
  method: Method<Request, Response>,
  terms: CallTerms,
): Promise<OpenCall<Response>> {
  const timeoutMs = Math.min(terms.timeoutMs ?? Infinity, connectTimeoutMs)
  const session = await connection.session({ method: method.path.slice(1), timeoutMs, signal: terms.signal })
  return startCall(session, method, terms)
}

async function firstOf<T>(answers: AsyncIterable<T>, path: string): Promise<T> {
  const all: T[] = []
  for await (const answer of answers) all.push(answer)
  const [first] = all
  if (first === undefined) throw new GrpcError(path.slice(1), STATUS.UNKNOWN, 'no answer')
  return first
}
