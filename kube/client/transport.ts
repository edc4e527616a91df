import type { IncomingHttpHeaders } from 'node:http'
import type { RequestOptions } from 'node:https'
import type { Readable } from 'node:stream'

/** Requests at the same time, HTTP/1.1; every watch is one of them. */
export const MAX_CONNECTIONS = 64
/** Less than the 90 s after which an API server closes an idle connection. */
export const IDLE_MS = 60_000
export const CONNECT_MS = 5_000

export type Tls = Readonly<Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>>

/** A request as it goes over the wire. */
export interface Outgoing {
  readonly server: URL
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Ends the request, its answer included. */
  readonly signal: AbortSignal
  /** Longest silence within an answer, in milliseconds; 0 allows any. */
  readonly silenceMs: number
}

/** The head of an answer; its body must be read or destroyed. */
export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
}

/** Connections to one server with the same certificates, kept from request to request. */
export interface Transport {
  send(outgoing: Outgoing): Promise<Answer>
  /** No more requests will come; running ones may end. */
  retire(): void
  /** Ends running requests. */
  destroy(): Promise<void>
}
