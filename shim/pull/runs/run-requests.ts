import { RetryableError } from '../../../lib/errors.ts'
import type { Owners } from '../../../lib/queues/fair-order.ts'
import { quote } from '../../../lib/text/quote.ts'

/** Counts which namespaces request which runs, and limits how many runs each may request at a time. */
export interface RunRequests {
  /** Counts one request of the namespace, until the returned function is called. Throws QueueFull beyond the limit. */
  add(key: string, namespace: string): () => void
  /** Namespaces that request the run. After all have left, the last of them until the run ends. */
  ownersOf(key: string): Owners
  started(key: string): void
  ended(key: string): void
}

interface Entry {
  /** Requests by namespace. A run without requests still counts for the namespace that left last, with 0. */
  readonly counts: Map<string, number>
  readonly listeners: Set<() => void>
  running: boolean
}

export function createRunRequests(maxPerNamespace: number): RunRequests {
  const byKey = new Map<string, Entry>()
  const entryOf = (key: string): Entry => {
    const entry = byKey.get(key) ?? { counts: new Map(), listeners: new Set(), running: false }
    byKey.set(key, entry)
    return entry
  }

  function requireRoom(key: string, namespace: string): void {
    const others = [...byKey].filter(([other, { counts }]) => other !== key && counts.has(namespace))
    if (others.length >= maxPerNamespace) throw queueFull(namespace, maxPerNamespace)
  }

  function leave(key: string, namespace: string): void {
    const { counts, running, listeners } = entryOf(key)
    const left = (counts.get(namespace) ?? 1) - 1
    counts.set(namespace, left)
    const isRequested = [...counts.values()].some(count => count > 0)
    if (left === 0 && (isRequested || !running)) counts.delete(namespace)
    if (counts.size === 0) byKey.delete(key)
    for (const listener of listeners) listener()
  }

  return {
    add(key, namespace) {
      requireRoom(key, namespace)
      const { counts, listeners } = entryOf(key)
      for (const [other, count] of counts) if (count === 0) counts.delete(other)
      counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
      for (const listener of listeners) listener()
      return () => leave(key, namespace)
    },
    ownersOf: key => ({
      current: () => [...(byKey.get(key)?.counts.keys() ?? [])],
      onChange(listener) {
        const { listeners } = entryOf(key)
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }),
    started(key) {
      entryOf(key).running = true
    },
    ended(key) {
      const entry = entryOf(key)
      entry.running = false
      for (const [namespace, count] of entry.counts) if (count === 0) entry.counts.delete(namespace)
      if (entry.counts.size === 0) byKey.delete(key)
    },
  }
}

function queueFull(namespace: string, most: number): RetryableError {
  return new RetryableError(
    'QueueFull',
    `this node builds or queues ${most} images for namespace ${quote(namespace)} already, as many as nix.maxQueuedPerNamespace allows: pull again when some of them are done`,
  )
}
