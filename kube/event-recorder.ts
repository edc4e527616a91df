import type { Logger } from 'pino'
import { backOff } from '../lib/async/retry.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import { firstOfMost } from '../lib/queues/first-of-most.ts'
import { isNamespaceGone } from './client/api-error.ts'
import type { Kube } from './client/contract.ts'
import { type EventContent, eventBody, eventName, events } from './resources/event.ts'

/** Beyond these the oldest of the namespace with the most are dropped. */
const MAX_QUEUED = 500
/** Counts of Events that were told lately. */
const MAX_REMEMBERED = 1000
/** Right after its start an API server refuses everybody everything. */
const MAX_REFUSALS = 6
/** It does not do so when it has taken another Event so short a time ago, in milliseconds, and was not away since. */
const TAKES_OTHERS_MS = 60_000
/** Nobody wants to hear of it any more after this time, in milliseconds. */
const MAX_AGE_MS = 600_000
const CALL_MS = 5_000

export interface EventRecorderPlan {
  readonly kube: Pick<Kube, 'create' | 'patch'>
  readonly component: string
  /** Node, or name of the pod. */
  readonly host: string
  /** Ends it; what is still queued is dropped. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Tells Events in the background, one after the other, also after the API server was away. Never throws. */
export interface EventRecorder {
  record(content: EventContent): void
  /** Resolves once all that was recorded until now has been told or dropped. */
  flushed(): Promise<void>
}

interface Queued {
  readonly content: EventContent
  readonly time: Date
}

export function createEventRecorder({ kube, component, host, signal, logger }: EventRecorderPlan): EventRecorder {
  const queue: Queued[] = []
  const counts = new Map<string, number>()
  let telling: Promise<void> | undefined
  let toldAt = Number.NEGATIVE_INFINITY

  async function tellAll(): Promise<void> {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) await tell(next)
    telling = undefined
  }

  async function tell(queued: Queued): Promise<void> {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await write(queued)
        toldAt = performance.now()
        return
      } catch (error) {
        const isAway = error instanceof ShimError && error.retryable
        if (isAway) toldAt = Number.NEGATIVE_INFINITY
        const mayPass = isAway || (error instanceof ShimError && mayBeTaken(error, failures, toldAt))
        const isOld = Date.now() - queued.time.getTime() >= MAX_AGE_MS
        const { reason, about } = queued.content
        if (!mayPass || isOld) {
          logger.warn({ err: messageOf(error), reason, about: about.name }, 'cannot tell an event')
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
      if (!(error instanceof ShimError && error.code === 'ClusterConflict')) throw error
      // Told before this process began, or by another: how often, the answer to a patch says.
      const count = ((await patch({ lastTimestamp }))?.count ?? 0) + 1
      await patch({ count })
      remember(key, count)
    }
  }

  function remember(key: string, count: number): void {
    counts.delete(key)
    counts.set(key, count)
    const [oldest] = counts.keys()
    if (counts.size > MAX_REMEMBERED && oldest !== undefined) counts.delete(oldest)
  }

  function dropOne(): void {
    const dropped = firstOfMost(queue, ({ content: { about } }) => about.namespace ?? '')
    if (dropped) queue.splice(queue.indexOf(dropped), 1)
    logger.warn(
      { namespace: dropped?.content.about.namespace },
      'too many events wait for the API server: the oldest is dropped',
    )
  }

  return {
    record(content) {
      queue.push({ content, time: new Date() })
      if (queue.length > MAX_QUEUED) dropOne()
      telling ??= tellAll()
    },
    flushed: async () => telling,
  }
}

/** One that never will be, in a namespace with a full quota above all, must not hold back all others. */
function mayBeTaken(error: ShimError, failures: number, toldAt: number): boolean {
  return failures < MAX_REFUSALS && !isNamespaceGone(error) && performance.now() - toldAt > TAKES_OTHERS_MS
}
