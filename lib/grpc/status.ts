/** The gRPC status codes that are sent or distinguished here (https://grpc.io/docs/guides/status-codes/). */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const

/** How a call ended: `code` is a gRPC status code, `message` plain text. */
export interface GrpcStatus {
  readonly code: number
  readonly message: string
  /** Code in the catalog of errors, if the shim itself answered the call. Kubelets ignore it; the shim's commands read it. */
  readonly errorCode?: string
}

/** Header that carries that code. */
export const ERROR_CODE_HEADER = 'enbi-error-code'

/** Longest encoded message. Peers reject header blocks of more than about 8 kB. */
const MESSAGE_LIMIT_BYTES = 8192 - 512
/** A long message loses its middle: its end, such as the last lines of a log, says more. */
const HEAD_LIMIT_BYTES = MESSAGE_LIMIT_BYTES / 4
const CUT_MARK = '...'

/** `grpc-message` as it goes over the wire: percent-encoded UTF-8 except for printable ASCII, cut at the limit. */
export function encodeStatusText(message: string): string {
  const text = message.toWellFormed()
  if (text.length <= MESSAGE_LIMIT_BYTES && /^[ -$&-~]*$/.test(text)) return text
  const encoded = Array.from(text, character => (/^[ -$&-~]$/.test(character) ? character : percentEncode(character)))
  if (lengthOf(encoded) <= MESSAGE_LIMIT_BYTES) return encoded.join('')
  const head = takeUpTo(encoded, HEAD_LIMIT_BYTES)
  const tail = takeUpTo(encoded.reverse(), MESSAGE_LIMIT_BYTES - lengthOf(head) - CUT_MARK.length).reverse()
  return [...head, CUT_MARK, ...tail].join('')
}

function takeUpTo(parts: readonly string[], limit: number): string[] {
  let length = 0
  const end = parts.findIndex(part => {
    length += part.length
    return length > limit
  })
  return parts.slice(0, end === -1 ? parts.length : end)
}

function lengthOf(parts: readonly string[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** The text of a `grpc-message` value; an invalid encoding is returned unchanged. */
export function decodeStatusText(value: string): string {
  if (!value.includes('%')) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

function percentEncode(character: string): string {
  return [...Buffer.from(character)].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}
