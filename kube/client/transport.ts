import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { urlToHttpOptions } from 'node:url'

/** Limit of concurrent requests (HTTP/1.1), including watches. */
export const MAX_CONNECTIONS = 64

/** Less than the 90 s after which an API server closes an idle connection. */
export const IDLE_MS = 60_000

export const CONNECT_MS = 5_000

export type Tls = Readonly<Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>>

/** A request as it is sent. */
export interface Outgoing {
  readonly server: URL
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Including the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Ends the request and its answer. */
  readonly signal: AbortSignal
  /** Longest time without data within an answer, in milliseconds; 0 for no limit. */
  readonly silenceMs: number
}

/** The head of an answer. Its body must be read or destroyed. */
export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
}

/** Connections to one server with the same certificates, reused by requests. */
export interface Transport {
  send(outgoing: Outgoing): Promise<Answer>
  /** Call when no more requests will come. Running requests may finish. */
  retire(): void
  /** Ends running requests. */
  destroy(): Promise<void>
}

/** Uses Node's own client, which is part of Node's binary. undici's parser alone would take 20 MB. */
export function createDirectTransport(tls: Tls): Transport {
  const agent = new Agent({ ...tls, keepAlive: true, maxSockets: MAX_CONNECTIONS, timeout: IDLE_MS })
  return {
    send: outgoing => send(agent, outgoing),
    // The agent closes idle connections by itself.
    retire() {},
    async destroy() {
      agent.destroy()
    },
  }
}

function send(agent: Agent, { server, method, path, headers, body, signal, silenceMs }: Outgoing): Promise<Answer> {
  const { hostname, port } = urlToHttpOptions(server)
  // Node would send the body of a DELETE without its length.
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const options = { agent, hostname, port, method, path, headers: { ...headers, ...length } }
  return new Promise((resolve, reject) => {
    const outgoing = request(options, answer => {
      running = answer
      limitSilence(answer, silenceMs)
      resolve({ statusCode: answer.statusCode ?? 0, headers: answer.headers, body: answer })
    })
    // Destroying only the request would end its answer as if it were complete.
    let running: ClientRequest | IncomingMessage = outgoing
    const end = () => running.destroy(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    outgoing
      .on('error', reject)
      .once('socket', limitConnecting)
      .once('close', () => signal.removeEventListener('abort', end))
      .end(body)
  })
}

function limitConnecting(socket: Socket): void {
  if (!socket.connecting) return
  const end = () => socket.destroy(new Error(`no connection after ${CONNECT_MS} ms`))
  const timer = setTimeout(end, CONNECT_MS)
  for (const event of ['secureConnect', 'close']) socket.once(event, () => clearTimeout(timer))
}

/** The server counts as silent only if no received data is waiting to be read. */
function limitSilence(answer: IncomingMessage, silenceMs: number): void {
  if (silenceMs === 0) return
  const { socket } = answer
  const onSilence = () => {
    if (answer.readableLength > 0) socket.setTimeout(silenceMs)
    else answer.destroy(new Error(`the server was silent for ${silenceMs} ms`))
  }
  socket.setTimeout(silenceMs).on('timeout', onSilence)
  answer.once('close', () => socket.off('timeout', onSilence))
}
