import * as v from 'valibot'
import { FinalError, RetryableError, ShimError } from '../../lib/errors.ts'
import { cutLines } from '../../lib/text/cut.ts'

/** Longer messages of the API server are cut. In characters. */
const MAX_MESSAGE = 2_000

const statusSchema = v.object({
  kind: v.literal('Status'),
  code: v.optional(v.number()),
  reason: v.optional(v.string(), ''),
  message: v.optional(v.string(), ''),
  details: v.optional(
    v.object({
      name: v.optional(v.string(), ''),
      causes: v.optional(v.array(v.object({ reason: v.optional(v.string(), '') })), []),
    }),
  ),
})

/** The API server's answer to a request that failed. It is the `cause` of the resulting error. */
export class ApiStatus extends Error {
  /** HTTP status. */
  readonly status: number
  /** As in `metav1.Status`, such as `AlreadyExists` or `Forbidden`. Empty if the answer was not a Status. */
  readonly reason: string
  /** Name of the affected object; empty if there is none. */
  readonly about: string
  /** Reasons of its causes, such as `NamespaceTerminating`. */
  readonly causes: readonly string[]
  /** When a busy server wants to be asked again. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, { status, reason = '', about = '', causes = [], retryAfterMs }: ApiStatusDetails) {
    super(message)
    this.name = 'ApiStatus'
    this.status = status
    this.reason = reason
    this.about = about
    this.causes = causes
    this.retryAfterMs = retryAfterMs
  }
}

interface ApiStatusDetails {
  readonly status: number
  readonly reason?: string
  readonly about?: string
  readonly causes?: readonly string[]
  readonly retryAfterMs?: number | undefined
}

/** `body` is the body of an answer, or the object of a watch's ERROR event. */
export function readApiStatus(status: number, body: unknown, retryAfterMs?: number): ApiStatus {
  const parsed = v.safeParse(statusSchema, body)
  if (parsed.success) {
    const { code, reason, message, details } = parsed.output
    return new ApiStatus(cutLines(message, MAX_MESSAGE), {
      status: code ?? status,
      reason,
      about: details?.name ?? '',
      causes: details?.causes.map(({ reason }) => reason) ?? [],
      retryAfterMs,
    })
  }
  return new ApiStatus(typeof body === 'string' ? cutLines(body.trim(), MAX_MESSAGE) : '', { status, retryAfterMs })
}

/** `operation` is what failed, such as `create nixbuilds team/web`. */
export function apiError(operation: string, cause: ApiStatus): ShimError {
  const { status, reason } = cause
  const says = isKindMissing(cause)
    ? 'it does not know this kind (kubectl apply -k deploy/crd installs NixBuilds and NixNodes)'
    : cause.message || `HTTP status ${status}`
  if (status === 409) return new RetryableError('ClusterConflict', `cannot ${operation}: ${says}`, { cause })
  // A version from the future: the API server has been restored from a backup.
  if (status === 410 || reason === 'Expired' || cause.causes.includes('ResourceVersionTooLarge')) {
    return new RetryableError('ClusterExpired', `cannot ${operation}: ${says}`, { cause })
  }
  // Credentials are renewed outside this process, and an API server that has just started may not know them yet.
  if (status === 401 || status === 429 || status >= 500) {
    return new RetryableError('ClusterAway', `cannot ${operation} now: ${says}`, { cause })
  }
  return new FinalError('ClusterRefused', `the API server refuses to ${operation}: ${says}`, { cause })
}

const LONGEST_PAUSE_MS = 60_000

/** The pause before the next attempt: a busy server may want a longer one than `pauseMs`. In milliseconds. */
export function pauseAfter(error: unknown, pauseMs: number): number {
  const status = error instanceof ShimError ? error.cause : undefined
  const wanted = status instanceof ApiStatus ? (status.retryAfterMs ?? 0) : 0
  return Math.max(pauseMs, Math.min(wanted, LONGEST_PAUSE_MS))
}

function isKindMissing({ status, about }: ApiStatus): boolean {
  return status === 404 && about === ''
}

/** Whether the object is missing, not its kind. */
export function isObjectMissing({ status, about }: ApiStatus): boolean {
  return status === 404 && about !== ''
}

export function isConflict(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'ClusterConflict'
}

/** Whether the request can never succeed because its namespace is gone or being deleted. */
export function isNamespaceGone({ cause }: ShimError): boolean {
  return cause instanceof ApiStatus && (isObjectMissing(cause) || cause.causes.includes('NamespaceTerminating'))
}
