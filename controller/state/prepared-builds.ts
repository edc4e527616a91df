import { namespaceOf } from '../../kube/mirror.ts'
import { soonest } from '../plan/soonest.ts'
import type { Builds } from './builds.ts'

/** Marks NixBuilds that select nodes for reconciling. */
export interface PreparedBuilds {
  /** Soon marks all of them: any of them may select the node now. */
  nodeChanged(): void
}

export interface PreparedBuildsOptions {
  readonly builds: Pick<Builds, 'preparing'>
  readonly onBuild: (key: string) => void
  readonly signal: AbortSignal
}

/** Those of a namespace are marked at most once in this time, in milliseconds, however many nodes change. */
const OFFER_MS = 1_000
/**
 * And at most once in this time for each of them. To plan one looks at all nodes, which takes some milliseconds if there
 * are thousands: a user who makes many of them waits longer, and keeps the controller from nothing else.
 */
const EACH_MS = 50

export function createPreparedBuilds({ builds, onBuild, signal }: PreparedBuildsOptions): PreparedBuilds {
  /** By namespace: when they were marked, and after how many changes. */
  const offered = new Map<string, { readonly at: number; readonly changes: number }>()
  let changes = 0
  let offeredAt = Number.NEGATIVE_INFINITY
  let timer: { readonly at: number; readonly timeout: NodeJS.Timeout } | undefined

  function offerAt(at: number): void {
    if (signal.aborted || (timer && timer.at <= at)) return
    clearTimeout(timer?.timeout)
    timer = { at, timeout: setTimeout(offer, at - Date.now()) }
  }

  function offer(): void {
    timer = undefined
    offeredAt = Date.now()
    const byNamespace = Map.groupBy(builds.preparing(), namespaceOf)
    for (const namespace of offered.keys()) if (!byNamespace.has(namespace)) offered.delete(namespace)
    let next: number | undefined
    for (const [namespace, keys] of byNamespace) {
      const last = offered.get(namespace)
      if (last?.changes === changes) continue
      const dueAt = last === undefined ? offeredAt : last.at + EACH_MS * keys.length
      if (dueAt > offeredAt) next = soonest(next, dueAt)
      else {
        offered.set(namespace, { at: offeredAt, changes })
        for (const key of keys) onBuild(key)
      }
    }
    if (next !== undefined) offerAt(Math.max(next, offeredAt + OFFER_MS))
  }

  signal.addEventListener('abort', () => clearTimeout(timer?.timeout))
  return {
    nodeChanged() {
      changes += 1
      const at = offeredAt + OFFER_MS
      if (at > Date.now()) offerAt(at)
      else if (!signal.aborted) offer()
    },
  }
}
