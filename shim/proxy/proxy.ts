import http2, { type Http2Server, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { hasCode } from '../../lib/error-code.ts'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { type Listening, type ListenTarget, listen } from '../../lib/socket/listen.ts'
import type { CallObserver, StreamHandler, UnaryInterceptor } from './contract.ts'
import { Forward } from './forward.ts'
import { type Incoming, readIncoming } from './incoming.ts'
import { intercept, type OnEnd } from './intercept.ts'
import { RequestBody } from './request-body.ts'
import { serveStream } from './serve-stream.ts'
import { SESSION_OPTIONS, widenConnectionWindow } from './session-options.ts'
import { createUpstreams, type UpstreamsOptions } from './upstream.ts'

export interface ProxyOptions extends UpstreamsOptions {
  /** By path: `/package.Service/Method`. */
  readonly intercept: ReadonlyMap<string, UnaryInterceptor>
  /** Methods that the shim itself serves, by path. */
  readonly streams: ReadonlyMap<string, StreamHandler>
  readonly onCall?: CallObserver | undefined
  readonly logger: Logger
}

export interface Proxy {
  /** Resolves when callers can connect. Throws FinalError ListenAddressInUse. */
  listen(target: ListenTarget): Promise<void>
  /** Accepts no more calls, lets running ones end within `graceMs`, then answers them with UNAVAILABLE. */
  close(options: { readonly graceMs: number }): Promise<void>
}

/**
 * A gRPC server that forwards every call to containerd, or to another image service, unless the call is intercepted or a stream of
 * the shim's own. Headers and messages stay as they came; only `grpc-timeout` is shortened, if a call was held or sent again.
 */
export function createProxy(options: ProxyOptions): Proxy {
  const logger = options.logger.child({ stage: 'proxy' })
  const upstreams = createUpstreams(options, logger)
  const running = new Set<Stoppable>()
  const server = http2.createServer(SESSION_OPTIONS)
  const callers = trackCallers(server, logger)
  let listening: Listening | undefined

  const noteEnd = (incoming: Incoming): OnEnd => {
    const observed = options.onCall?.(incoming.path)
    return status => {
      logFailure(logger, incoming, status)
      observed?.(status.code)
    }
  }
  const track = (begin: (onRelease: () => void) => Stoppable) => {
    const call = begin(() => running.delete(call))
    running.add(call)
  }
  const forward = (incoming: Incoming, body: RequestBody, onEnd: OnEnd) => {
    const call = new Forward(incoming, upstreams.of(incoming.path), body, status => {
      running.delete(call)
      return onEnd(status)
    })
    running.add(call)
    call.start()
  }

  server.on('stream', (stream, headers, flags, rawHeaders) => {
    const incoming = readIncoming(stream, headers, flags, rawHeaders)
    const interceptor = options.intercept.get(incoming.path)
    const handler = options.streams.get(incoming.path)
    const onEnd = noteEnd(incoming)
    if (interceptor) track(onRelease => intercept(incoming, { interceptor, forward, onEnd, onRelease }))
    else if (handler) track(onRelease => serveStream(incoming, { handler, onEnd, onRelease }))
    else forward(incoming, RequestBody.from(stream), onEnd)
  })

  return {
    async listen(target) {
      listening = await listen(server, target)
    },
    async close({ graceMs }) {
      const stopCalls = () => {
        for (const call of running) call.stop(SHUTTING_DOWN)
      }
      await listening?.stop()
      await callers.drain({ graceMs, stopCalls, closed: listening?.closed ?? Promise.resolve() })
      await upstreams.close()
    },
  }
}

interface Stoppable {
  stop(status: GrpcStatus): void
}

const SHUTTING_DOWN: GrpcStatus = { code: STATUS.UNAVAILABLE, message: 'enbi-shim is shutting down' }

/** The connections of a proxy's callers. */
interface Callers {
  /** Sends GOAWAY on every connection and waits until all are closed: after `graceMs` by `stopCalls`, then by force. */
  drain(plan: DrainPlan): Promise<void>
}

interface DrainPlan {
  readonly graceMs: number
  /** Ends the calls that still run when the grace time is over. */
  readonly stopCalls: () => void
  /** Resolves when the last connection is gone. */
  readonly closed: Promise<unknown>
}

/** Answers at the end of the grace time have this long to reach their callers. */
const FLUSH_LIMIT_MS = 500

function trackCallers(server: Http2Server, logger: Logger): Callers {
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('session', session => {
    sessions.add(session)
    widenConnectionWindow(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('sessionError', error => {
    if (hasCode(error, 'ERR_HTTP2_ERROR')) logger.warn({ err: error }, "a caller's connection was ended with GOAWAY")
    else logger.debug({ err: error }, 'a connection failed')
  })
  return {
    async drain({ graceMs, stopCalls, closed }) {
      for (const session of sessions) session.close()
      const grace = setTimeout(stopCalls, graceMs)
      // The sockets: a closing session waits for its peer even when it is destroyed.
      const force = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, graceMs + FLUSH_LIMIT_MS)
      await closed
      clearTimeout(grace)
      clearTimeout(force)
    },
  }
}

/** An error message may quote much of a request; its beginning says what happened. */
const LOGGED_MESSAGE_CHARACTERS = 500

/** Logs one line per failed call, without the request, which may contain credentials. */
function logFailure(logger: Logger, { path, receivedAt }: Incoming, { code, message }: GrpcStatus): void {
  if (code === STATUS.OK) return
  const fields = {
    path,
    grpcStatus: code,
    grpcMessage: message.slice(0, LOGGED_MESSAGE_CHARACTERS),
    ms: Math.round(performance.now() - receivedAt),
  }
  if (code === STATUS.CANCELLED) logger.info(fields, 'call cancelled')
  else logger.warn(fields, 'call failed')
}
