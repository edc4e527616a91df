import { createChangeSignal } from '../../lib/async/change-signal.ts'
import { normalizeReference } from '../../recipes/reference.ts'
import type { ImportProgress } from '../import/image/contract.ts'
import type { BuildProgress } from '../nix/log/build-progress.ts'
import type { StreamHandler } from '../proxy/contract.ts'
import { describeProgress, type WireProgress } from '../wire/progress.ts'

/** How far a run is. */
export type PullProgress =
  | BuildProgress
  | ImportProgress
  | { readonly phase: 'built'; readonly storePath: string }
  /** The image existed already: nothing was built or imported. */
  | { readonly phase: 'present' }

/** Whether an import reads bytes: it takes most of its memory then. */
export function isReading(progress: PullProgress | undefined): boolean {
  return progress?.phase === 'importing'
}

/** Describes the progress of a run in one line. */
export function describePull(progress: PullProgress): string {
  return describeProgress({ done: 0, expected: 0, text: '', phase: '', ...toWire(progress) })
}

/** As it is sent, see `protos/enbi.proto`. */
export function toWire(progress: PullProgress): Partial<WireProgress> {
  const { phase } = progress
  switch (progress.phase) {
    case 'queued':
      return { phase, done: progress.ahead }
    case 'fetching':
      return { phase, done: progress.doneBytes, expected: progress.expectedBytes }
    case 'building':
      return { phase, done: progress.done, expected: progress.expected, text: progress.current ?? '' }
    case 'waiting':
      return { phase, text: progress.progress ? `${progress.node}: ${progress.progress}` : progress.node }
    case 'copying':
      return { phase, done: progress.doneBytes, expected: progress.expectedBytes, text: progress.from }
    case 'log':
      return { phase, text: progress.line }
    case 'built':
      return { phase, text: progress.storePath }
    case 'importing':
      return { phase, done: progress.doneBytes, expected: progress.totalBytes ?? 0 }
    case 'unpacking':
      return { phase, done: progress.done, expected: progress.expected }
    default:
      return { phase }
  }
}

/** Passes the progress of runs on to the watchers of their images, such as `enbi-shim pull`. */
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
    // Loads the protobuf library with the first watcher.
    const { PULLS } = await import('../wire/pulls.ts')
    const events = hub.watch(normalizeReference(PULLS.Watch.requestDeserialize(request).image), signal)
    yield PULLS.Watch.responseSerialize({ phase: 'watching' })
    for await (const event of events) yield PULLS.Watch.responseSerialize(toWire(event))
  }
}

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

/** A watcher that does not read keeps this many events; older ones are dropped. */
const MAX_PENDING = 1000

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
