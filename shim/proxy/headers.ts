import { type IncomingHttpHeaders, type OutgoingHttpHeaders, sensitiveHeaders } from 'node:http2'

/**
 * Headers to send on as they came. The headers that node has parsed do not do: of several values of one name they keep only
 * the first, or join them. `raw` alternates names and values.
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
