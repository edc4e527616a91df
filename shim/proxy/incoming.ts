import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  sensitiveHeaders,
} from 'node:http2'
import { type GrpcStatus, STATUS } from '../../lib/grpc/status.ts'

/** A call as it came from the caller. */
export interface Incoming {
  readonly stream: ServerHttp2Stream
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  /** No request message follows the headers. */
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

/** The error event of a stream says nothing that its close event does not. */
export function ignoreError(): void {}

/** Ends a call whose caller went away. */
export const CANCELLED: GrpcStatus = { code: STATUS.CANCELLED, message: 'the caller cancelled' }

/**
 * Headers to pass on unchanged, from `raw`, which alternates names and values. The headers that node has parsed are not enough:
 * of several values of one name they keep only the first, or join them.
 */
export function toHeaders(raw: readonly string[], parsed: IncomingHttpHeaders): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null)
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const value = raw[index + 1] ?? ''
    const known = headers[name]
    if (known === undefined) headers[name] = value
    else if (Array.isArray(known)) known.push(value)
    else headers[name] = [String(known), value]
  }
  return keepSensitive(headers, parsed)
}

/** Never-indexed fields stay never-indexed on the next hop (RFC 7541, 7.1.3). */
function keepSensitive(headers: OutgoingHttpHeaders, parsed: IncomingHttpHeaders): OutgoingHttpHeaders {
  const names: unknown = Reflect.get(parsed, sensitiveHeaders)
  if (Array.isArray(names) && names.length > 0) Reflect.set(headers, sensitiveHeaders, names)
  return headers
}

/** The value of a header that gRPC allows only once. */
export function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
