import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, reviveError } from '../../../lib/errors.ts'
import { threadCount } from '../../../lib/threads/thread-count.ts'
import { THREAD_LIMITS } from '../../../lib/threads/thread-limits.ts'
import type { StoredBlob } from '../image/parsed-image.ts'
import type { EntryRoom } from '../image/size-limit.ts'
import type { FilesLayer } from '../layers/layer.ts'
import { CHUNK_BYTES } from '../tar/chunks.ts'
import { NO_MORE, RING_CHUNKS, type TarReport, type TarTask } from './tar-task.ts'

/** Makes tars of layers in threads of its own, as many at once as there are threads; the others wait in order. */
export interface TarThreads {
  /**
   * The tar, made as fast as it is read; its entries are taken of the room. A chunk of CHUNK_BYTES is good until the next one
   * is asked for. Throws ArchiveInvalid, ImageTooLarge or ImportInterrupted.
   */
  tar(layer: FilesLayer, entries: EntryRoom): AsyncGenerator<Buffer>
  /** Reads all of the layer. Throws as `tar` does. */
  digest(layer: FilesLayer, entries: EntryRoom): Promise<StoredBlob>
  /** Ends the threads, whatever they do; others start when more is wanted. */
  close(): Promise<void>
}

/** Enough to keep containerd busy, which hashes every blob. */
export const TAR_THREADS = threadCount(2)

/** The same file, as source or compiled. */
const THREAD = new URL(`./tar-thread${extname(import.meta.url)}`, import.meta.url)

interface TarThread {
  readonly worker: Worker
  readonly ring: SharedArrayBuffer
}

/** A chunk in the thread's ring, or the end. */
type Step = Buffer | Extract<TarReport, { kind: 'end' }>

/** Threads start when they are first needed. */
export function createTarThreads(count = TAR_THREADS): TarThreads {
  const all = new Set<TarThread>()
  const idle: TarThread[] = []
  const waiting: ((thread: TarThread) => void)[] = []

  function take(): Promise<TarThread> {
    const free = idle.pop()
    if (free) return Promise.resolve(free)
    if (all.size < count) return Promise.resolve(start())
    return new Promise(resolve => waiting.push(resolve))
  }

  function start(): TarThread {
    const worker = new Worker(THREAD, { resourceLimits: THREAD_LIMITS, name: 'tar' })
    const thread = { worker, ring: new SharedArrayBuffer(RING_CHUNKS * CHUNK_BYTES) }
    all.add(thread)
    // Whoever uses it hears of its failure; without a listener that would end this thread.
    worker
      .on('error', () => {})
      .once('exit', () => {
        all.delete(thread)
        if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1)
      })
    return thread
  }

  function giveBack(thread: TarThread): void {
    const next = waiting.shift()
    if (next) next(all.has(thread) ? thread : start())
    else if (all.has(thread)) idle.push(thread)
  }

  async function* run({ layer, entries, want }: Pick<TarTask, 'layer' | 'entries' | 'want'>): AsyncGenerator<Step> {
    const thread = await take()
    const { worker, ring } = thread
    const room = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const left = new Int32Array(room)
    left[0] = RING_CHUNKS
    const reports = listen(worker)
    worker.postMessage({ layer, entries, want, ring, room } satisfies TarTask)
    let ended = false
    try {
      for (let place = 0; !ended; place = (place + 1) % RING_CHUNKS) {
        const report = await reports.next()
        ended = report.kind !== 'chunk'
        if (report.kind === 'failed') throw revive(report)
        yield report.kind === 'end' ? report : Buffer.from(ring, place * CHUNK_BYTES, report.length)
        Atomics.add(left, 0, 1)
        Atomics.notify(left, 0)
      }
    } finally {
      if (!ended) {
        Atomics.store(left, 0, NO_MORE)
        Atomics.notify(left, 0)
        while ((await reports.next()).kind === 'chunk');
      }
      reports.stop()
      giveBack(thread)
    }
  }

  return {
    async *tar(layer, entries) {
      // Who gathers bytes until they are worth a message does not keep a whole chunk.
      for await (const step of run({ layer, entries, want: 'chunks' }))
        if (step instanceof Buffer) yield step.length === CHUNK_BYTES ? step : Buffer.from(step)
    },
    async digest(layer, entries) {
      for await (const step of run({ layer, entries, want: 'digest' }))
        if ('digest' in step && step.digest) return { digest: step.digest, size: step.size }
      throw new Error('the thread made no digest')
    },
    async close() {
      idle.length = 0
      await Promise.all([...all].map(({ worker }) => worker.terminate()))
    },
  }
}

/** What the thread tells, one after another. A thread that ends has failed. */
function listen(worker: Worker) {
  const reports: TarReport[] = []
  let wake = () => {}
  const add = (report: TarReport) => {
    reports.push(report)
    wake()
  }
  const crashed = (cause: unknown) => {
    const message = `a thread that reads store paths has ended: ${messageOf(cause)}`
    add({ kind: 'failed', code: 'ImportInterrupted', message, stack: undefined })
  }
  const exited = () => crashed(new Error('it was stopped'))
  worker.on('message', add).on('error', crashed).on('exit', exited)
  return {
    async next(): Promise<TarReport> {
      for (;;) {
        const report = reports.shift()
        if (report) return report
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
    stop: () => void worker.off('message', add).off('error', crashed).off('exit', exited),
  }
}

function revive({ code, message, stack }: Extract<TarReport, { kind: 'failed' }>): Error {
  const error = reviveError(code, message)
  if (stack !== undefined) error.stack = stack
  return error
}
