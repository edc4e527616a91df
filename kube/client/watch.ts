import * as v from 'valibot'
import { readLines } from '../../lib/text/lines.ts'
import { callFailure, collectionPath, limitTime, readBody, selectionQuery } from './api-call.ts'
import { apiError, readApiStatus } from './api-error.ts'
import type { Connection } from './connection.ts'
import type { Kind, WatchCall, WatchEvent } from './contract.ts'
import type { Answer } from './transport.ts'

/** Time limit for the start of the answer. */
const BEGIN_MS = 10_000
/** The server sends a bookmark every minute if there is nothing else, so a longer silence means a dead connection. */
const SILENCE_MS = 150_000
/** In characters. etcd limits objects to 1.5 MB. */
const MAX_EVENT = 16 * 1024 * 1024

const eventSchema = v.variant('type', [
  v.object({ type: v.picklist(['ADDED', 'MODIFIED', 'DELETED', 'ERROR']), object: v.unknown() }),
  v.object({
    type: v.literal('BOOKMARK'),
    object: v.object({ metadata: v.object({ resourceVersion: v.string() }) }),
  }),
])

export async function* watchEvents(
  connection: Connection,
  kind: Kind<unknown>,
  { signal, resourceVersion, longestMs, silenceMs = SILENCE_MS, ...selection }: WatchCall,
): AsyncGenerator<WatchEvent> {
  const operation = `watch ${kind.plural}`
  const path = collectionPath(kind, selection.namespace, {
    ...selectionQuery(selection),
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion,
    timeoutSeconds: longestMs === undefined ? undefined : Math.max(1, Math.round(longestMs / 1000)),
  })
  const limit = limitTime(BEGIN_MS, signal)
  let answer: Answer | undefined
  try {
    const headers = { accept: 'application/json' }
    answer = await connection.send({ method: 'GET', path, headers, signal: limit.signal, silenceMs })
    limit.stopTimer()
    if (answer.statusCode !== 200) throw await refusal(operation, answer)
    for await (const line of readLines(answer.body, MAX_EVENT)) yield readEvent(operation, line)
  } catch (error) {
    if (limit.reason() !== 'caller') throw callFailure(operation, error, limit.reason())
  } finally {
    limit.end()
    answer?.body.on('error', () => {}).destroy()
  }
}

async function refusal(operation: string, { statusCode, body }: Answer): Promise<Error> {
  const text = await readBody(operation, body)
  try {
    return apiError(operation, readApiStatus(statusCode, JSON.parse(text)))
  } catch {
    return apiError(operation, readApiStatus(statusCode, text))
  }
}

function readEvent(operation: string, line: string): WatchEvent {
  const event = v.parse(eventSchema, JSON.parse(line))
  if (event.type === 'ERROR') throw apiError(operation, readApiStatus(500, event.object))
  if (event.type !== 'BOOKMARK') return { type: event.type, object: event.object }
  return { type: 'BOOKMARK', resourceVersion: event.object.metadata.resourceVersion }
}
