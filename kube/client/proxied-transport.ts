import type { Dispatcher } from 'undici'
import { lazy } from '../../lib/async/lazy.ts'
import { CONNECT_MS, IDLE_MS, MAX_CONNECTIONS, type Tls, type Transport } from './transport.ts'

/** undici has agents for both kinds of proxies. It costs memory, so it is loaded only if there is a proxy. */
export function createProxiedTransport(tls: Tls, proxy: string): Transport {
  const agent = lazy(() => createAgent(tls, proxy))
  return {
    async send({ server, method, path, headers, body, signal, silenceMs }) {
      const answer = await (await agent()).request({
        origin: server.origin,
        method,
        path,
        headers,
        body: body ?? null,
        signal,
        // The signal ends a request that takes too long.
        headersTimeout: 0,
        bodyTimeout: silenceMs,
      })
      return { statusCode: answer.statusCode, headers: answer.headers, body: answer.body }
    },
    retire() {
      agent()
        .then(created => created.close())
        .catch(() => {})
    },
    async destroy() {
      await (await agent()).destroy()
    },
  }
}

async function createAgent(tls: Tls, proxy: string): Promise<Dispatcher> {
  const { ProxyAgent, Socks5ProxyAgent } = await import('undici')
  const options = {
    requestTls: tls,
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: IDLE_MS,
    connectTimeout: CONNECT_MS,
    allowH2: false,
  }
  return proxy.startsWith('socks') ? new Socks5ProxyAgent(proxy, options) : new ProxyAgent({ ...options, uri: proxy })
}
