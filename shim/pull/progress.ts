import { createChangeSignal } from '../../lib/async/change-signal.ts'
import type { ImportProgress } from '../import/image/contract.ts'
import type { BuildProgress } from '../nix/contract.ts'

/** What goes on behind a PullImage. */
export type PullProgress =
  | BuildProgress
  | ImportProgress
  | { readonly phase: 'built'; readonly storePath: string }
  /** The image was there already: nothing was built or imported. */
  | { readonly phase: 'present' }

export interface ProgressHub {
  publish(image: string, progress: PullProgress): void
  /** Everything that is published of the image from this call on, after the latest there is. Ends when `signal` aborts. */
  watch(image: string, signal: AbortSignal): AsyncGenerator<PullProgress>
  /** Forgets the latest progress of the image, once its pull has ended. */
  end(image: string): void
}

/** Whether an import has bytes to read, for which it takes most of its memory. */
export function isReading(progress: PullProgress | undefined): boolean {
  return progress?.phase === 'importing'
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
