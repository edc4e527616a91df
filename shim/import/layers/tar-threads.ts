import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, reviveError } from '../../errors.ts'
import type { LayerDigest } from './digest-cache.ts'
import type { StorePathLayer } from './layer.ts'
import type { MergedLayer } from './merged-layer.ts'
import { MAX_WAITING_CHUNKS, NO_MORE, type TarReport, type TarTask } from './tar-task.ts'

/** Makes tars of layers in threads of its own, as many at once as there are threads; the others wait in order. */
export interface TarThreads {
  /** The tar, made as fast as it is read. Throws ArchiveInvalid or ImportInterrupted. */
  tar(layer: StorePathLayer | MergedLayer): AsyncGenerator<Buffer>
  /** Reads all of the layer. Throws as `tar` does. */
  digest(layer: StorePathLayer): Promise<LayerDigest>
  /** Ends the threads, whatever they do. */
  close(): Promise<void>
}

/** Enough to keep containerd busy, which hashes every blob. */
export const TAR_THREADS = 2

/** The same file, as source or compiled. */
const THREAD = new URL(`./tar-thread${extname(import.meta.url)}`, import.meta.url)
const THREAD_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 }

/** Threads start when they are first needed. */
export function createTarThreads(count = TAR_THREADS): TarThreads {
  const all = new Set<Worker>()
  const idle: Worker[] = []
  const waiting: ((worker: Worker) => void)[] = []

  function take(): Promise<Worker> {
    const free = idle.pop()
    if (free) return Promise.resolve(free)
    if (all.size < count) return Promise.resolve(start())
    return new Promise(resolve => waiting.push(resolve))
  }

  function start(): Worker {
    const worker = new Worker(THREAD, { resourceLimits: THREAD_LIMITS, name: 'tar' })
    all.add(worker)
    worker.once('exit', () => all.delete(worker))
    return worker
  }

  function giveBack(worker: Worker): void {
    const next = waiting.shift()
    if (next) next(all.has(worker) ? worker : start())
    else if (all.has(worker)) idle.push(worker)
  }

  async function* run(
    layer: TarTask['layer'],
    want: TarTask['want'],
  ): AsyncGenerator<Exclude<TarReport, { kind: 'failed' }>> {
    const worker = await take()
    const room = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const left = new Int32Array(room)
    left[0] = MAX_WAITING_CHUNKS
    const reports = listen(worker)
    worker.postMessage({ layer, want, room } satisfies TarTask)
    let ended = false
    try {
      while (!ended) {
        const report = await reports.next()
        ended = report.kind !== 'chunk'
        if (report.kind === 'failed') throw revive(report)
        yield report
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
      giveBack(worker)
    }
  }

  return {
    async *tar(layer) {
      for await (const report of run(layer, 'chunks'))
        if (report.kind === 'chunk') yield Buffer.from(report.bytes.buffer)
    },
    async digest(layer) {
      for await (const report of run(layer, 'digest'))
        if (report.kind === 'end' && report.digest) return { diffId: report.digest, size: report.size }
      throw new Error('the thread made no digest')
    },
    async close() {
      await Promise.all([...all].map(worker => worker.terminate()))
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
