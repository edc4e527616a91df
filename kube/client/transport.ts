import type { IncomingHttpHeaders } from 'node:http'
import type { RequestOptions } from 'node:https'
import type { Readable } from 'node:stream'

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
