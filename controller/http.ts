import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import { hasCode } from '../shim/error-code.ts'
import { FinalError, messageOf } from '../shim/errors.ts'
import type { ListenAddress } from './options.ts'

export interface HttpPlan {
  readonly listen: ListenAddress
  readonly registry: Registry
  /** What is in the way of being ready; empty when nothing is. */
  readonly obstacles: () => readonly string[]
  /** What it does when it is ready. */
  readonly state: () => string
}

/** Serves /metrics, /healthz and /readyz. Throws ListenAddressInUse. */
export async function serveHttp(plan: HttpPlan): Promise<Server> {
  const server = createServer((request, response) => {
    answer(plan, request.url ?? '', response).catch(error => reply(response, 500, `${messageOf(error)}\n`))
  })
  await listen(server, plan.listen)
  return server
}

function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', cause => {
      reject(
        hasCode(cause, 'EADDRINUSE')
          ? new FinalError('ListenAddressInUse', `${host}:${port} is in use: choose another --listen`, { cause })
          : new FinalError('ConfigInvalid', `cannot listen on ${host}:${port}: ${cause.message}`, { cause }),
      )
    })
    server.listen(port, host, resolve)
  })
}

async function answer({ registry, obstacles, state }: HttpPlan, url: string, response: ServerResponse): Promise<void> {
  switch (url.replace(/\?.*$/s, '')) {
    case '/metrics':
      return reply(response, 200, await registry.metrics(), registry.contentType)
    case '/healthz':
      return reply(response, 200, 'ok\n')
    case '/readyz': {
      const found = obstacles()
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
