import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { hasCode } from '../error-code.ts'
import { FinalError, messageOf } from '../errors.ts'
import { formatListenAddress, type ListenAddress } from './listen-address.ts'

export interface HttpPlan {
  readonly listen: ListenAddress
  /** What a user sets it by, for error messages: `--listen`. */
  readonly setBy: string
  readonly registry: Registry
  /** What is in the way of being ready; empty when nothing is. */
  readonly obstacles: () => readonly string[] | Promise<readonly string[]>
  /** What it does when it is ready. */
  readonly state: () => string
  readonly logger: Pick<Logger, 'warn'>
}

/** Whoever asks for so little is done with asking within this, in milliseconds. */
const REQUEST_LIMIT_MS = 10_000
/** How often that is looked at. */
const CHECK_MS = 2_000
/** Whoever can reach the port is not to take all file descriptors of a process that a kubelet depends on. */
const MAX_CONNECTIONS = 32

/** Serves /metrics, /healthz and /readyz. Throws ListenAddressInUse, or ConfigInvalid for an address that is none of this machine's. */
export async function serveHttp(plan: HttpPlan): Promise<Server> {
  const limits = {
    headersTimeout: REQUEST_LIMIT_MS,
    requestTimeout: REQUEST_LIMIT_MS,
    connectionsCheckingInterval: CHECK_MS,
  }
  const server = createServer(limits, (request, response) => {
    answer(plan, request, response).catch(error => reply(response, 500, `${messageOf(error)}\n`))
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, plan)
  // Such as a connection that cannot be taken for want of file descriptors: without a listener it would end the process.
  server.on('error', err => plan.logger.warn({ err }, 'metrics and health: the server failed'))
  return server
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

async function answer(
  { registry, obstacles, state }: HttpPlan,
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return reply(response, 405, 'there are GET and HEAD\n')
  }
  switch (url.replace(/\?.*$/s, '')) {
    case '/metrics':
      return reply(response, 200, await registry.metrics(), registry.contentType)
    case '/healthz':
      return reply(response, 200, 'ok\n')
    case '/readyz': {
      const found = await obstacles()
      return found.length === 0
        ? reply(response, 200, `ok: ${state()}\n`)
        : reply(response, 503, `${found.join('\n')}\n`)
    }
    default:
      return reply(response, 404, 'there are /metrics, /healthz and /readyz\n')
  }
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(text)
}
