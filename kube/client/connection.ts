import type { RequestOptions } from 'node:https'
import { unlessAborted } from '../../lib/async/bounded-wait.ts'
import { shareAnswer } from '../../lib/async/lazy.ts'
import type { Access } from './access.ts'
import { createProxiedTransport } from './proxied-transport.ts'
import type { Answer, Outgoing, Tls, Transport } from './transport.ts'
import { createDirectTransport } from './transport.ts'

export interface ApiRequest extends Omit<Outgoing, 'server' | 'body'> {
  readonly body?: string | undefined
}

/** Connections to one API server, reused by all requests. */
export interface Connection {
  /** Resolves with the head of the answer. The caller must read or destroy its body. */
  send(request: ApiRequest): Promise<Answer>
  close(): Promise<void>
}

/** client-node's own API classes would open a new connection for every request. */
export function createConnection(config: Access, userAgent: string): Connection {
  // Concurrent requests share one run of a credential plugin.
  const credentials = shareAnswer(() => readCredentials(config))
  const server = new URL(config.getCurrentCluster()?.server ?? '')
  const base = server.pathname.replace(/\/$/, '')
  let current: { readonly tls: Tls; readonly transport: Transport } | undefined
  let isClosed = false

  function transportFor(tls: Tls): Transport {
    if (current && isSame(current.tls, tls)) return current.transport
    current?.transport.retire()
    current = { tls, transport: createTransport(config, tls) }
    return current.transport
  }

  async function send({ method, path, headers, body, signal, silenceMs }: ApiRequest): Promise<Answer> {
    const { tls, headers: ours } = await credentials()
    signal.throwIfAborted()
    if (isClosed) throw new Error('the connection is closed')
    return transportFor(tls).send({
      server,
      method,
      path: base + path,
      headers: { 'user-agent': userAgent, ...headers, ...ours },
      body,
      signal,
      silenceMs,
    })
  }

  return {
    send: request => answerUnlessAborted(send(request), request.signal),
    async close() {
      isClosed = true
      await current?.transport.destroy()
    },
  }
}

interface Credentials {
  readonly tls: Tls
  readonly headers: Readonly<Record<string, string>>
}

/** Runs for every request, so that renewed tokens and certificates are used. */
async function readCredentials(config: Access): Promise<Credentials> {
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const { ca, cert, key, rejectUnauthorized, servername } = options
  const given = Object.entries({ ca, cert, key, rejectUnauthorized, servername }).filter(
    ([, value]) => value !== undefined,
  )
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value).trim()])
  return { tls: Object.fromEntries(given), headers: Object.fromEntries(headers) }
}

/** undici (behind a proxy) honors the signal of a request only once it has a connection, and credential plugins ignore it. */
function answerUnlessAborted(sent: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  const answer = unlessAborted(sent, signal)
  // Discards an answer that arrives too late.
  answer.catch(() => sent.then(({ body }) => body.on('error', () => {}).destroy())).catch(() => {})
  return answer
}

function isSame(a: Tls, b: Tls): boolean {
  return (['ca', 'cert', 'key', 'rejectUnauthorized', 'servername'] as const).every(
    name => String(a[name] ?? '') === String(b[name] ?? ''),
  )
}

function createTransport(config: Access, tls: Tls): Transport {
  const proxy = config.getCurrentCluster()?.proxyUrl
  return proxy ? createProxiedTransport(tls, proxy) : createDirectTransport(tls)
}
