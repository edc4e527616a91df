import * as v from 'valibot'
import { ShimError } from '../../lib/errors.ts'
import { readLines } from '../../lib/text/lines.ts'
import { MAX_OBJECT, readBody } from './answer-body.ts'
import { callFailure, collectionPath, limitTime, retryAfterOf, selectionQuery, sendUnlessBusy } from './api-call.ts'
import { ApiStatus, apiError, readApiStatus } from './api-error.ts'
import type { Connection } from './connection.ts'
import type { Kind, WatchCall, WatchEvent } from './contract.ts'
import { readPages } from './list.ts'
import type { Answer } from './transport.ts'

/** Time limit for the start of the answer. */
const BEGIN_MS = 10_000
/** The server sends a bookmark every minute if there is nothing else, so a longer silence means a dead connection. */
const SILENCE_MS = 150_000

/** Time limit for a page of a list. */
const PAGE_MS = 60_000
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

const eventSchema = v.variant('type', [
  v.object({ type: v.picklist(['ADDED', 'MODIFIED', 'DELETED', 'ERROR']), object: v.unknown() }),
  v.object({
    type: v.literal('BOOKMARK'),
    object: v.object({
      metadata: v.object({
        resourceVersion: v.string(),
        annotations: v.optional(v.record(v.string(), v.string()), {}),
      }),
    }),
  }),
])

/**
 * Without a resourceVersion, the API server streams every object from its cache before the changes (KEP-3157): neither
 * side ever holds a whole list. An API server without the feature WatchList or with an old etcd is asked for pages.
 */
export async function* watchEvents(
  connection: Connection,
  kind: Kind<unknown>,
  call: WatchCall,
): AsyncGenerator<WatchEvent> {
  let isStreaming = false
  try {
    for await (const event of readWatch(connection, kind, call)) {
      isStreaming = true
      yield event
    }
    return
  } catch (error) {
    if (isStreaming || call.resourceVersion !== undefined || !isRefused(error)) throw error
  }
  const { signal, maxObject = MAX_OBJECT, onTooLarge = () => {} } = call
  const pages = readPages(connection, kind, call, { signal, timeoutMs: PAGE_MS, maxObject, onTooLarge })
  for (let page = await pages.next(); ; page = await pages.next()) {
    if (page.done) {
      yield { type: 'BOOKMARK', resourceVersion: page.value, endsInitial: true }
      return yield* readWatch(connection, kind, { ...call, resourceVersion: page.value })
    }
    for (const object of page.value) yield { type: 'ADDED', object }
  }
}

/** No answers to the question: credentials that it does not know yet, and an API server or a proxy that is overloaded. */
const UNANSWERED: readonly number[] = [401, 429, 502, 503, 504]

/** Whether the API server is there, and may answer another question, which costs it more. */
function isRefused(error: unknown): boolean {
  return error instanceof ShimError && error.cause instanceof ApiStatus && !UNANSWERED.includes(error.cause.status)
}

/** From the API server's cache, which may be a moment behind. The changes catch up. */
const ALL_FIRST = { resourceVersion: '0', resourceVersionMatch: 'NotOlderThan', sendInitialEvents: true }

async function* readWatch(connection: Connection, kind: Kind<unknown>, call: WatchCall): AsyncGenerator<WatchEvent> {
  const { signal, resourceVersion, longestMs, silenceMs = SILENCE_MS, maxObject = MAX_OBJECT } = call
  const operation = `watch ${kind.plural}`
  const path = collectionPath(kind, call.namespace, {
    ...selectionQuery(call),
    watch: true,
    allowWatchBookmarks: true,
    ...(resourceVersion === undefined ? ALL_FIRST : { resourceVersion }),
    timeoutSeconds: longestMs === undefined ? undefined : Math.max(1, Math.round(longestMs / 1000)),
  })
  const limit = limitTime(BEGIN_MS, signal)
  let answer: Answer | undefined
  try {
    const headers = { accept: 'application/json' }
    const request = { method: 'GET', path, headers, signal: limit.signal, silenceMs } as const
    answer = await sendUnlessBusy(connection, request, limit.leftMs)
    limit.stopTimer()
    if (answer.statusCode !== 200) throw await refusal(operation, answer)
    for await (const line of readLines(answer.body, maxObject)) {
      if (line.length < maxObject) yield readEvent(operation, line)
      else call.onTooLarge?.(`${operation}: a change is larger than ${maxObject} bytes`)
    }
  } catch (error) {
    if (limit.reason() !== 'caller') throw callFailure(operation, error, limit.reason())
  } finally {
    limit.end()
    answer?.body.on('error', () => {}).destroy()
  }
}

async function refusal(operation: string, answer: Answer): Promise<Error> {
  const text = await readBody(operation, answer.body)
  const read = (body: unknown) => apiError(operation, readApiStatus(answer.statusCode, body, retryAfterOf(answer)))
  try {
    return read(JSON.parse(text))
  } catch {
    return read(text)
  }
}

function readEvent(operation: string, line: string): WatchEvent {
  const event = v.parse(eventSchema, JSON.parse(line))
  if (event.type === 'ERROR') throw apiError(operation, readApiStatus(500, event.object))
  if (event.type !== 'BOOKMARK') return { type: event.type, object: event.object }
  const { resourceVersion, annotations } = event.object.metadata
  return { type: 'BOOKMARK', resourceVersion, endsInitial: annotations[INITIAL_EVENTS_END] === 'true' }
}
