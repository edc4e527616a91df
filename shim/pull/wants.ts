import { RetryableError } from '../../lib/errors.ts'
import type { Owners } from '../../lib/queues/fair-order.ts'
import { quote } from '../../lib/text/quote.ts'

/** Which namespaces want which run: each may want so many at a time. */
export interface Wants {
  /**
   * Somebody of the namespace wants the run of that key, until what is returned is called. Throws QueueFull when the namespace
   * wants too many others.
   */
  add(key: string, namespace: string): () => void
  /** Those that want the run; once nobody does, the one that wanted it last, until the run has ended. */
  ownersOf(key: string): Owners
  started(key: string): void
  ended(key: string): void
}

interface Wanted {
  /** How many of each namespace want it; a run that nobody wants any more counts for the last one. */
  readonly callers: Map<string, number>
  readonly listeners: Set<() => void>
  running: boolean
}

export function createWants(maxPerNamespace: number): Wants {
  const byKey = new Map<string, Wanted>()
  const wantedOf = (key: string): Wanted => {
    const wanted = byKey.get(key) ?? { callers: new Map(), listeners: new Set(), running: false }
    byKey.set(key, wanted)
    return wanted
  }

  function requireRoom(key: string, namespace: string): void {
    const others = [...byKey].filter(([other, { callers }]) => other !== key && callers.has(namespace))
    if (others.length >= maxPerNamespace) throw queueFull(namespace, maxPerNamespace)
  }

  function leave(key: string, namespace: string): void {
    const { callers, running, listeners } = wantedOf(key)
    const left = (callers.get(namespace) ?? 1) - 1
    callers.set(namespace, left)
    const isWanted = [...callers.values()].some(count => count > 0)
    if (left === 0 && (isWanted || !running)) callers.delete(namespace)
    if (callers.size === 0) byKey.delete(key)
    for (const listener of listeners) listener()
  }

  return {
    add(key, namespace) {
      requireRoom(key, namespace)
      const { callers, listeners } = wantedOf(key)
      for (const [other, count] of callers) if (count === 0) callers.delete(other)
      callers.set(namespace, (callers.get(namespace) ?? 0) + 1)
      for (const listener of listeners) listener()
      return () => leave(key, namespace)
    },
    ownersOf: key => ({
      current: () => [...(byKey.get(key)?.callers.keys() ?? [])],
      onChange(listener) {
        const { listeners } = wantedOf(key)
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }),
    started(key) {
      wantedOf(key).running = true
    },
    ended(key) {
      const wanted = wantedOf(key)
      wanted.running = false
      for (const [namespace, count] of wanted.callers) if (count === 0) wanted.callers.delete(namespace)
      if (wanted.callers.size === 0) byKey.delete(key)
    },
  }
}

function queueFull(namespace: string, most: number): RetryableError {
  return new RetryableError(
    'QueueFull',
    `this node builds or queues ${most} images for namespace ${quote(namespace)} already, as many as nix.maxQueuedPerNamespace allows: pull again when some of them are done`,
  )
}
