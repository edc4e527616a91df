import type { RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js'
import { Agent, type Dispatcher, ProxyAgent, Socks5ProxyAgent } from 'undici'
import { unlessAborted } from '../../lib/async/bounded-wait.ts'
import { shareAnswer } from '../../lib/async/share-answer.ts'

/** One at a time per connection, HTTP/1.1; every watch holds one of them. */
const MAX_CONNECTIONS = 64
/** Less than the 90 s after which an API server closes a connection that is not used. */
const IDLE_MS = 60_000
const CONNECT_MS = 5_000

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal: AbortSignal
  /** Longest silence within an answer, in milliseconds. */
  readonly silenceMs: number
}

/** The connections to one API server, kept from request to request. */
export interface Connection {
  /** The head of the answer; whoever asks must read or destroy its body. */
  send(request: ApiRequest): Promise<Dispatcher.ResponseData>
  close(): Promise<void>
}

/** client-node's KubeConfig knows who we are; its own API classes would make a new connection for every request. */
export function createConnection(config: KubeConfig, userAgent: string): Connection {
  // A program that gives tokens is run once for all who ask meanwhile.
  const credentials = shareAnswer(() => readCredentials(config))
  const server = new URL(config.getCurrentCluster()?.server ?? '')
  const base = server.pathname.replace(/\/$/, '')
  let current: { readonly tls: Tls; readonly agent: Dispatcher } | undefined

  function agentFor(tls: Tls): Dispatcher {
    if (current && isSame(current.tls, tls)) return current.agent
    // What still runs on the old connections may end there.
    current?.agent.close().catch(() => {})
    current = { tls, agent: createAgent(config, tls) }
    return current.agent
  }

  async function send({
    method,
    path,
    headers,
    body,
    signal,
    silenceMs,
  }: ApiRequest): Promise<Dispatcher.ResponseData> {
    const { tls, headers: ours } = await credentials()
    signal.throwIfAborted()
    return agentFor(tls).request({
      origin: server.origin,
      path: base + path,
      method,
      headers: { 'user-agent': userAgent, ...headers, ...ours },
      body: body ?? null,
      signal,
      // The signal ends a request that takes too long.
      headersTimeout: 0,
      bodyTimeout: silenceMs,
    })
  }

  return {
    send: request => answerUnlessAborted(send(request), request.signal),
    async close() {
      await current?.agent.destroy()
    },
  }
}

type Tls = Readonly<Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>>

interface Credentials {
  readonly tls: Tls
  readonly headers: Readonly<Record<string, string>>
}

/** Asked for every request, so that renewed tokens and certificates are used. */
async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const { ca, cert, key, rejectUnauthorized, servername } = options
  const given = Object.entries({ ca, cert, key, rejectUnauthorized, servername }).filter(
    ([, value]) => value !== undefined,
  )
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value).trim()])
  return { tls: Object.fromEntries(given), headers: Object.fromEntries(headers) }
}

/** undici heeds the signal of a request only once it has a connection, and a program that gives tokens heeds none. */
function answerUnlessAborted(
  sent: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const answer = unlessAborted(sent, signal)
  // What comes too late is read by nobody.
  answer.catch(() => sent.then(({ body }) => body.on('error', () => {}).destroy())).catch(() => {})
  return answer
}

function isSame(a: Tls, b: Tls): boolean {
  return (['ca', 'cert', 'key', 'rejectUnauthorized', 'servername'] as const).every(
    name => String(a[name] ?? '') === String(b[name] ?? ''),
  )
}

function createAgent(config: KubeConfig, tls: Tls): Dispatcher {
  const options = {
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: IDLE_MS,
    connectTimeout: CONNECT_MS,
    allowH2: false,
  }
  const proxy = config.getCurrentCluster()?.proxyUrl
  if (!proxy) return new Agent({ ...options, connect: { ...tls, timeout: CONNECT_MS } })
  if (proxy.startsWith('socks')) return new Socks5ProxyAgent(proxy, { ...options, requestTls: tls })
  return new ProxyAgent({ ...options, uri: proxy, requestTls: tls })
}
