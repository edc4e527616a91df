import { createChangeSignal } from '../../lib/async/change-signal.ts'
import { normalizeReference } from '../../recipes/reference.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import { PULLS } from '../wire/pulls.ts'
import { type PullProgress, toWire } from './progress.ts'

/** Passes the progress of runs on to the watchers of their images. */
export interface ProgressHub {
  publish(image: string, progress: PullProgress): void
  /** The latest progress of the image, then everything published from this call on. Ends when `signal` aborts. */
  watch(image: string, signal: AbortSignal): AsyncGenerator<PullProgress>
  /** Forgets the latest progress of the image, once its run has ended. */
  end(image: string): void
}

/** `enbi.v1alpha1.Pulls/Watch`: the progress of every run of one image. */
export function createWatchPulls(hub: ProgressHub): StreamHandler {
  return async function* watchPulls({ request, signal }) {
    const events = hub.watch(normalizeReference(PULLS.Watch.requestDeserialize(request).image), signal)
    yield PULLS.Watch.responseSerialize({ phase: 'watching' })
    for await (const event of events) yield PULLS.Watch.responseSerialize(toWire(event))
  }
}

/** A watcher that does not read keeps this many events; older ones are dropped. */
const MAX_PENDING = 1000

export function createProgressHub(): ProgressHub {
  const watchers = new Map<string, Set<Watcher>>()
  const latest = new Map<string, PullProgress>()
  return {
    publish(image, progress) {
      if (progress.phase !== 'log') latest.set(image, progress)
      for (const watcher of watchers.get(image) ?? []) watcher.push(progress)
    },
    end: image => latest.delete(image),
    watch(image, signal) {
      const watcher = createWatcher(signal)
      const known = latest.get(image)
      if (known) watcher.push(known)
      const all = watchers.get(image) ?? new Set()
      watchers.set(image, all.add(watcher))
      const remove = () => {
        all.delete(watcher)
        if (all.size === 0 && watchers.get(image) === all) watchers.delete(image)
      }
      signal.addEventListener('abort', remove, { once: true })
      return watcher.events()
    },
  }
}

interface Watcher {
  push(progress: PullProgress): void
  events(): AsyncGenerator<PullProgress>
}

function createWatcher(signal: AbortSignal): Watcher {
  const pending: PullProgress[] = []
  const changes = createChangeSignal(signal)
  return {
    push(progress) {
      pending.push(progress)
      if (pending.length > MAX_PENDING) pending.shift()
      changes.notify()
    },
    async *events() {
      while (!signal.aborted) {
        const next = pending.shift()
        if (next) yield next
        else await changes.changed()
      }
    },
  }
}
