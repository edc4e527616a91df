import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'

/** A call as it came from the caller. */
export interface Incoming {
  readonly stream: ServerHttp2Stream
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** The headers were all of it: no request message follows. */
  readonly bodiless: boolean
  /** By `performance.now()`. */
  readonly receivedAt: number
}

export function readIncoming(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
): Incoming {
  return {
    stream,
    path: headers[':path'] ?? '',
    headers,
    rawHeaders,
    bodiless: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
    receivedAt: performance.now(),
  }
}

/** The error events of streams say nothing that their close events do not. */
export function ignoreError(): void {}
