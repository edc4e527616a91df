import type { Logger } from 'pino'
import { backOff } from '../lib/async/retry.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import { firstOfMost } from '../lib/queues/fair-excess.ts'
import { setBounded } from '../lib/queues/set-bounded.ts'
import { isConflict, isNamespaceGone } from './client/api-error.ts'
import type { Kube } from './client/contract.ts'
import { type EventContent, eventBody, eventName, events } from './resources/event.ts'

/** Beyond this number, the oldest Event of the namespace with the most Events is dropped. */
const MAX_QUEUED = 500
/** Most Events whose counts are kept. */
const MAX_REMEMBERED = 1000
/** Right after its start, an API server refuses every request: until it knows all rights and policies. */
const REFUSES_AT_START_MS = 30_000
/** If the API server accepted another Event within this time and was reachable since, a refusal is final. */
const ACCEPTS_OTHERS_MS = 60_000
/** Older Events are dropped. */
const MAX_AGE_MS = 600_000
const CALL_MS = 5_000

export interface EventRecorderOptions {
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly component: string
  /** Name of the node, or of the pod. */
  readonly host: string
  /** Ends the recorder. Queued Events are dropped. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Writes Events in the background, one after the other. Retries while the API server is away. Never throws. */
export interface EventRecorder {
  record(content: EventContent): void
  /** Resolves once all Events recorded so far have been written or dropped. */
  flushed(): Promise<void>
}

interface Queued {
  readonly content: EventContent
  readonly time: Date
}

export function createEventRecorder({ kube, component, host, signal, logger }: EventRecorderOptions): EventRecorder {
  const queue: Queued[] = []
  const counts = new Map<string, number>()
  let draining: Promise<void> | undefined
  let acceptedAt = Number.NEGATIVE_INFINITY

  async function drain(): Promise<void> {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) await writeWithRetries(next)
    draining = undefined
  }

  async function writeWithRetries(queued: Queued): Promise<void> {
    let refusedAt = Number.POSITIVE_INFINITY
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await write(queued)
        acceptedAt = performance.now()
        return
      } catch (error) {
        const isAway = error instanceof ShimError && error.retryable
        if (isAway) acceptedAt = Number.NEGATIVE_INFINITY
        refusedAt = isAway ? Number.POSITIVE_INFINITY : Math.min(refusedAt, performance.now())
        const mayRecover = isAway || (error instanceof ShimError && mayBeAccepted(error, { refusedAt, acceptedAt }))
        const isOld = Date.now() - queued.time.getTime() >= MAX_AGE_MS
        const { reason, about } = queued.content
        if (!mayRecover || isOld) {
          logger.warn({ err: messageOf(error), reason, about: about.name }, 'cannot write an event')
          return
        }
      }
      await backOff(failures, signal)
    }
  }

  async function write({ content, time }: Queued): Promise<void> {
    const name = eventName(content)
    const key = `${name.namespace}/${name.name}`
    const lastTimestamp = time.toISOString()
    const options = { signal, timeoutMs: CALL_MS }
    const patch = (body: object) =>
      kube.patch(events, { ...name, body }, { ...options, type: 'merge', fieldManager: component })

    const known = counts.get(key)
    if (known !== undefined && (await patch({ count: known + 1, lastTimestamp }))) return remember(key, known + 1)
    try {
      const body = eventBody(content, { component, host, time: lastTimestamp })
      await kube.create(events, { ...name, body }, options)
      remember(key, 1)
    } catch (error) {
      if (!isConflict(error)) throw error
      // Another process, or an earlier one, has created the Event. The answer to a patch contains its count.
      const count = ((await patch({ lastTimestamp }))?.count ?? 0) + 1
      await patch({ count })
      remember(key, count)
    }
  }

  function remember(key: string, count: number): void {
    setBounded(counts, key, count, MAX_REMEMBERED)
  }

  function dropOne(): void {
    const dropped = firstOfMost(queue, ({ content: { about } }) => about.namespace ?? '')
    if (dropped) queue.splice(queue.indexOf(dropped), 1)
    logger.warn({ namespace: dropped?.content.about.namespace }, 'too many events are queued: dropped the oldest')
  }

  return {
    record(content) {
      queue.push({ content, time: new Date() })
      if (queue.length > MAX_QUEUED) dropOne()
      draining ??= drain()
    },
    flushed: async () => draining,
  }
}

/**
 * An Event that can never be written must not block the others. A common cause is a namespace with an exhausted quota.
 */
function mayBeAccepted(error: ShimError, { refusedAt, acceptedAt }: Answers): boolean {
  const now = performance.now()
  return now - refusedAt < REFUSES_AT_START_MS && !isNamespaceGone(error) && now - acceptedAt > ACCEPTS_OTHERS_MS
}

/** By `performance.now()`. */
interface Answers {
  /** When the API server has refused this Event for the first time since it was away. */
  readonly refusedAt: number
  /** When it has accepted another one. */
  readonly acceptedAt: number
}
