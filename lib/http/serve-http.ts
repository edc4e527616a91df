import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { shareAnswer } from '../async/lazy.ts'
import { hasCode } from '../error-code.ts'
import { FinalError, messageOf } from '../errors.ts'
import { limitConnections } from './limit-connections.ts'
import { formatListenAddress, type ListenAddress } from './listen-address.ts'

export interface HttpPlan {
  readonly listen: ListenAddress
  /** The flag or config key that sets the address, for error messages: `--listen`. */
  readonly setBy: string
  /** Without a registry only health is served. */
  readonly registry?: Registry | undefined
  /** Reasons why it is not ready; empty if it is. */
  readonly obstacles: () => readonly string[] | Promise<readonly string[]>
  /** What a ready process is doing. */
  readonly state: () => string
  readonly logger: Pick<Logger, 'warn'>
}

// An import of `node:http` reads all its exports, and `WebSocket` loads undici, which costs 12 MB.
const { createServer } = process.getBuiltinModule('node:http')

/** A request is one line and a few headers; a connection that takes longer is closed. */
const REQUEST_LIMIT_MS = 5_000
/** Interval of that check. */
const CHECK_MS = 1_000
/** An idle connection is closed after this time, also if nobody reads the answer. */
const IDLE_LIMIT_MS = 10_000
const MAX_HEADER_BYTES = 8_192
const MAX_REQUESTS_PER_CONNECTION = 100
/** Clients must not exhaust the file descriptors of a process that a kubelet depends on. */
const MAX_CONNECTIONS = 32

/**
 * Serves /healthz and /readyz, and /metrics if there is a registry. Throws ListenAddressInUse, or ConfigInvalid if the
 * address does not belong to this machine.
 */
export async function serveHttp(plan: HttpPlan): Promise<Server> {
  const routes = createRoutes(plan)
  const limits = {
    headersTimeout: REQUEST_LIMIT_MS,
    requestTimeout: REQUEST_LIMIT_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  const server = createServer(limits, (request, response) => {
    answer(routes, request, response).catch(error => reply(response, 500, `${messageOf(error)}\n`))
  })
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION
  server.setTimeout(IDLE_LIMIT_MS)
  limitConnections(server, MAX_CONNECTIONS)
  await listen(server, plan)
  // For example a connection that cannot be accepted without free file descriptors. An unhandled error would end the
  // process.
  server.on('error', err => plan.logger.warn({ err }, 'metrics and health: the server failed'))
  return server
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly type?: string
}

/** By path. Concurrent requests share one answer. */
type Routes = ReadonlyMap<string, () => Promise<Answer>>

function createRoutes({ registry, obstacles, state }: HttpPlan): Routes {
  const ready = async (): Promise<Answer> => {
    const found = await obstacles()
    return found.length === 0
      ? { status: 200, text: `ok: ${state()}\n` }
      : { status: 503, text: `${found.join('\n')}\n` }
  }
  const routes = new Map([
    ['/healthz', async () => ({ status: 200, text: 'ok\n' })],
    ['/readyz', shareAnswer(ready)],
  ])
  if (registry === undefined) return routes
  const metrics = async () => ({ status: 200, text: await registry.metrics(), type: registry.contentType })
  return routes.set('/metrics', shareAnswer(metrics))
}

function listen(server: Server, { listen, setBy }: HttpPlan): Promise<void> {
  const { host, port } = listen
  const address = formatListenAddress(listen)
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) =>
      reject(
        hasCode(cause, 'EADDRINUSE')
          ? new FinalError('ListenAddressInUse', `${address} is in use: choose another ${setBy}`, { cause })
          : new FinalError('ConfigInvalid', `cannot listen on ${address} (${setBy}): ${cause.message}`, { cause }),
      )
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      resolve()
    })
  })
}

async function answer(routes: Routes, { method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return reply(response, 405, 'there are GET and HEAD\n')
  }
  const query = url.indexOf('?')
  const route = routes.get(query < 0 ? url : url.slice(0, query))
  if (route === undefined) return reply(response, 404, `there are ${[...routes.keys()].join(', ')}\n`)
  const { status, text, type } = await route()
  reply(response, status, text, type)
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(text)
}
