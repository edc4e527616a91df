import http2 from 'node:http2'
import type { Logger } from 'pino'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'
import { type Listening, type ListenTarget, listen } from '../../lib/socket/listen.ts'
import { trackCallers } from './callers.ts'
import type { CallObserver, StreamHandler, UnaryInterceptor } from './contract.ts'
import { Forward } from './forward.ts'
import { type Incoming, readIncoming } from './incoming.ts'
import { intercept, type OnEnd } from './intercept.ts'
import { RequestBody } from './request-body.ts'
import { serveStream } from './serve-stream.ts'
import { SESSION_OPTIONS } from './session-options.ts'
import { Upstream } from './upstream.ts'

export interface ProxyOptions {
  /** Path of containerd's socket. */
  readonly upstream: string
  /** Path of the socket for calls of CRI's image service; containerd's by default. */
  readonly imageService?: string | undefined
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

/** A gRPC server that forwards every call byte for byte to containerd, or to another image service, unless it is intercepted. */
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
      onEnd(status)
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

interface Upstreams {
  /** Where calls of that method go. */
  of(path: string): Upstream
  close(): Promise<void>
}

function createUpstreams({ upstream, imageService }: ProxyOptions, logger: Logger): Upstreams {
  const containerd = new Upstream({ name: 'containerd', path: upstream, logger })
  if (imageService === undefined) return { of: () => containerd, close: () => containerd.close() }
  const images = new Upstream({ name: `the image service at ${imageService}`, path: imageService, logger })
  return {
    of: path => (isForImages(path) ? images : containerd),
    async close() {
      await Promise.all([containerd.close(), images.close()])
    },
  }
}

/** `runtime.v1.ImageService`, or `runtime.v1alpha2.ImageService` of older kubelets. */
function isForImages(path: string): boolean {
  return path.startsWith('/runtime.') && path.split('/')[1]?.endsWith('.ImageService') === true
}

const SHUTTING_DOWN: GrpcStatus = { code: STATUS.UNAVAILABLE, message: 'enbi-shim is shutting down' }

/** An error message may quote much of a request: its head says what happened. */
const LOGGED_MESSAGE_CHARACTERS = 500

/** Logs one line per failed call. It never has the request, which may hold credentials. */
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
