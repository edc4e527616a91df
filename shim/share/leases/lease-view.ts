import type { Logger } from 'pino'
import { type ClaimLease, claimLeases } from '../../../kube/resources/claim-lease.ts'
import { CLAIMS_NAMESPACE } from '../../../kube/resources/names.ts'
import { createChangeSignal } from '../../../lib/async/change-signal.ts'
import { backOffMs, jitter, pause } from '../../../lib/async/retry.ts'
import { messageOf } from '../../../lib/errors.ts'
import { type ClaimKube, readLease } from './claim-kube.ts'

/** What is known about a Lease. */
export interface Seen {
  /** Undefined: there is no Lease. */
  readonly lease: ClaimLease | undefined
  /** When this version was first seen, by this process's clock: clocks of other machines are not compared. */
  readonly seenAt: number
}

export interface LeaseViewOptions {
  readonly kube: () => Promise<ClaimKube>
  readonly name: string
  /** What is known already. */
  readonly seen?: Seen | undefined
  readonly places: WatchPlaces
  readonly pollMs: number
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** One Lease, as this node has seen it last. */
export interface LeaseView extends Disposable {
  /** Undefined before the first answer. */
  readonly seen: Seen | undefined
  /** Reads the Lease. Throws the errors of `Kube`. */
  read(): Promise<void>
  /** Reads the Lease, or waits for the watch to show what has changed. */
  refresh(): Promise<void>
  /** A request has failed. */
  failed(): void
  /** Since when the API server has not answered, in milliseconds; 0 if the last request was answered. */
  awayMs(): number
  /** Resolves after a change, or this time. The first call starts one watch, which ends with the view. */
  changed(limitMs: number): Promise<void>
}

/** Longest time until a watch shows a change. */
const REFRESH_MS = 1_000

export function createLeaseView({ kube, name, seen, places, pollMs, signal, logger }: LeaseViewOptions): LeaseView {
  const over = new AbortController()
  const end = () => over.abort()
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  const changes = createChangeSignal(over.signal)
  let current = seen
  let answeredAt = performance.now()
  let isAway = false
  let isFollowing = false
  let isWatching = false

  function answered(): void {
    answeredAt = performance.now()
    isAway = false
  }

  function saw(lease: ClaimLease | undefined): void {
    answered()
    if (current && current.lease?.resourceVersion === lease?.resourceVersion) return
    current = { lease, seenAt: performance.now() }
    changes.notify()
  }

  async function read(): Promise<void> {
    try {
      saw(await readLease(await kube(), name, { signal: over.signal }))
    } catch (error) {
      isAway = true
      throw error
    }
  }

  async function watch(): Promise<void> {
    // From the API server's cache if the Lease is not known: nothing comes if there is none.
    const resourceVersion = current?.lease?.resourceVersion ?? '0'
    const selection = { namespace: CLAIMS_NAMESPACE, fieldSelector: `metadata.name=${name}` }
    for await (const event of (await kube()).watch(claimLeases, {
      ...selection,
      resourceVersion,
      signal: over.signal,
    })) {
      if (event.type === 'BOOKMARK') answered()
      else saw(event.type === 'DELETED' ? undefined : claimLeases.parse(event.object))
    }
  }

  async function follow(): Promise<void> {
    let failures = 0
    while (!over.signal.aborted) {
      const place = places.take()
      try {
        // The version may be too old to continue from, and a watch without events does not show that the API server is back.
        if (failures > 0) await read()
        isWatching = place
        if (place) await watch()
        isWatching = false
        await pause(jitter(place ? REFRESH_MS : pollMs, 0.3), over.signal)
        if (!over.signal.aborted) await read()
        failures = 0
      } catch (error) {
        if (over.signal.aborted) return
        isAway = true
        isWatching = false
        failures += 1
        if (failures === 1) logger.debug({ err: messageOf(error), name }, 'cannot watch the lease')
        await pause(backOffMs(failures + 2), over.signal)
      } finally {
        if (place) places.give()
      }
    }
  }

  return {
    get seen() {
      return current
    },
    read,
    async refresh() {
      const before = current
      if (isWatching) await changes.changed(REFRESH_MS)
      // A watch may be broken without an end.
      if (current === before) await read()
    },
    failed() {
      isAway = true
    },
    awayMs: () => (isAway ? performance.now() - answeredAt : 0),
    async changed(limitMs) {
      if (!isFollowing) void follow()
      isFollowing = true
      await changes.changed(limitMs)
    },
    [Symbol.dispose]() {
      signal.removeEventListener('abort', end)
      over.abort()
      changes[Symbol.dispose]()
    },
  }
}

/** Each watch holds a connection, and those to one API server are limited: the others ask now and then instead. */
export interface WatchPlaces {
  take(): boolean
  give(): void
}

export function createWatchPlaces(count: number): WatchPlaces {
  let free = count
  return {
    take() {
      if (free === 0) return false
      free -= 1
      return true
    },
    give() {
      free += 1
    },
  }
}
