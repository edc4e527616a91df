import { setTimeout as delay } from 'node:timers/promises'
import { messageOf, RetryableError, ShimError } from '../../lib/errors.ts'
import { type BodyLimits, readBody } from './answer-body.ts'
import { apiError, readApiStatus } from './api-error.ts'
import type { ApiRequest, Connection } from './connection.ts'
import type { CallOptions, Kind, ObjectName, Selection } from './contract.ts'
import type { Answer } from './transport.ts'

const TIMEOUT_MS = 10_000

export interface ApiCall extends Pick<ApiRequest, 'method' | 'path'> {
  /** For messages, such as `create nixbuilds team/web`. */
  readonly operation: string
  readonly body?: object | undefined
  readonly contentType?: string
  /** Called with the length of the answer, in characters. */
  readonly onLength?: (length: number) => void
  readonly limits?: BodyLimits
}

/** Returns the parsed body of the answer. Throws the errors of `Kube`, and Cancelled if the caller's signal aborts. */
export async function call(connection: Connection, request: ApiCall, options: CallOptions = {}): Promise<unknown> {
  const { operation } = request
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS
  const limit = limitTime(timeoutMs, options.signal)
  try {
    const sent = {
      ...request,
      headers: {
        accept: 'application/json',
        ...(request.body && { 'content-type': request.contentType ?? 'application/json' }),
      },
      body: request.body && JSON.stringify(request.body),
      signal: limit.signal,
      silenceMs: 0,
    }
    const answer = await sendUnlessBusy(connection, sent, limit.leftMs)
    const text = await readBody(operation, answer.body, request.limits)
    request.onLength?.(text.length)
    const body = parseBody(text)
    if (answer.statusCode >= 200 && answer.statusCode < 300) return body
    throw apiError(operation, readApiStatus(answer.statusCode, body, retryAfterOf(answer)))
  } catch (error) {
    throw callFailure(operation, error, limit.reason())
  } finally {
    limit.end()
  }
}

/** A server that is busy for longer may have another one beside it. */
const LONGEST_RETRY_AFTER_MS = 30_000

/**
 * Sends a request again when the server says so, unless no time would be left: 429 and 503 with Retry-After (RFC 9110)
 * mean that it has done nothing.
 */
export async function sendUnlessBusy(
  connection: Connection,
  request: ApiRequest,
  leftMs: () => number,
): Promise<Answer> {
  for (;;) {
    const answer = await connection.send(request)
    const afterMs = retryAfterOf(answer)
    if (afterMs === undefined || afterMs > LONGEST_RETRY_AFTER_MS) return answer
    // Those that were refused together must not come back together.
    const pauseMs = afterMs * (1 + Math.random() / 2)
    if (pauseMs >= leftMs()) return answer
    // An answer that is read to its end leaves its connection to the next request.
    await readBody('read a refusal', answer.body, { max: MAX_REFUSAL }).catch(() => {})
    await delay(pauseMs, undefined, { signal: request.signal })
  }
}

/** In bytes. */
const MAX_REFUSAL = 64 * 1024

/** When a busy server wants to be asked again, in milliseconds. */
export function retryAfterOf({ statusCode, headers }: Answer): number | undefined {
  const seconds = Number(headers['retry-after'])
  const isBusy = statusCode === 429 || statusCode === 503
  return isBusy && seconds > 0 ? seconds * 1000 : undefined
}

/** Why a request ended without an answer. */
export type EndReason = 'time' | 'caller' | undefined

/** Does not use `AbortSignal.any`: listeners on a signal that lives as long as the process would leak. */
export function limitTime(timeoutMs: number, caller: AbortSignal | undefined) {
  const controller = new AbortController()
  const endsAt = performance.now() + timeoutMs
  let reason: EndReason
  const end = (why: EndReason) => {
    reason ??= why
    controller.abort()
  }
  const leave = () => end('caller')
  if (caller?.aborted) leave()
  caller?.addEventListener('abort', leave, { once: true })
  const timer = setTimeout(() => end('time'), timeoutMs)
  return {
    signal: controller.signal,
    reason: () => reason,
    leftMs: () => endsAt - performance.now(),
    stopTimer: () => clearTimeout(timer),
    end() {
      clearTimeout(timer)
      caller?.removeEventListener('abort', leave)
    },
  }
}

export function callFailure(operation: string, error: unknown, reason: EndReason): ShimError {
  if (error instanceof ShimError) return error
  if (reason === 'caller')
    return new RetryableError('Cancelled', `cannot ${operation}: the caller has cancelled`, { cause: error })
  if (reason === 'time') {
    return new RetryableError('ClusterAway', `cannot ${operation} now: the API server does not answer in time`, {
      cause: error,
    })
  }
  return new RetryableError('ClusterAway', `cannot ${operation} now: ${messageOf(error)}`, { cause: error })
}

/** Keeps a body that is not JSON as text, such as `404 page not found` or the HTML page of a proxy. */
function parseBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** `/apis/enbi.hrzn.ee/v1alpha1/namespaces/team/nixbuilds/web/status?…` */
export function objectPath(kind: Kind<unknown>, object: ObjectName, subresource?: string, query: Query = {}): string {
  const parts = [collection(kind, object.namespace), encodeURIComponent(object.name)]
  if (subresource) parts.push(subresource)
  return parts.join('/') + search(query)
}

/** The path to list, watch and create objects of this kind. */
export function collectionPath(kind: Kind<unknown>, namespace: string | undefined, query: Query = {}): string {
  return collection(kind, namespace) + search(query)
}

export function selectionQuery({ labelSelector, fieldSelector }: Selection): Query {
  return { labelSelector, fieldSelector }
}

/** `nixbuilds team/web`, for messages. */
export function describeObject(kind: Kind<unknown>, { namespace, name }: ObjectName): string {
  return `${kind.plural} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

function collection({ apiVersion, plural, namespaced }: Kind<unknown>, namespace: string | undefined): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  return namespaced && namespace !== undefined
    ? `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`
    : `${root}/${plural}`
}

function search(query: Query): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value))
  const text = params.toString()
  return text && `?${text}`
}
