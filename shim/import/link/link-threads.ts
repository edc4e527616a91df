import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, RetryableError, reviveError } from '../../../lib/errors.ts'
import { threadCount } from '../../../lib/threads/thread-count.ts'
import { THREAD_LIMITS } from '../../../lib/threads/thread-limits.ts'
import type { LinkReport, LinkTask, LinkThreadData } from './link-task.ts'
import type { FillCounts } from './placing.ts'

/** Fills folders in threads of its own; tasks begin in the order in which they come. */
export interface LinkThreads {
  /** For tasks that are still to come: it takes a while. */
  start(): void
  /** Throws ArchiveInvalid, ImageTooLarge, DiskFull, ImportInterrupted or Cancelled. */
  run(task: LinkTask): Promise<FillCounts>
  /** What runs, and what waits, fails soon. For good. */
  cancel(): void
  close(): Promise<void>
}

/** The same file, as source or compiled. */
const THREAD = new URL(`./link-thread${extname(import.meta.url)}`, import.meta.url)
/** containerd walks through every snapshot meanwhile. */
const THREADS = threadCount(4)

interface Waiting {
  readonly task: LinkTask
  readonly done: PromiseWithResolvers<FillCounts>
}

/** Threads start with the first task, unless told before. */
export function createLinkThreads(count = THREADS): LinkThreads {
  const cancelled = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const workers: Worker[] = []
  const idle: Worker[] = []
  const running = new Map<Worker, Waiting>()
  const waiting: Waiting[] = []
  let failure: RetryableError | undefined

  function startOne(): Worker {
    const workerData: LinkThreadData = { cancelled }
    const worker = new Worker(THREAD, { workerData, resourceLimits: THREAD_LIMITS, name: 'link' })
    worker.on('message', (report: LinkReport) => {
      settle(running.get(worker), report)
      next(worker)
    })
    worker.on('error', cause => failAll(messageOf(cause)))
    worker.on('exit', () => failAll('it was stopped'))
    workers.push(worker)
    return worker
  }

  function next(worker: Worker): void {
    const [entry] = waiting.splice(0, 1)
    if (entry) {
      running.set(worker, entry)
      worker.postMessage(entry.task)
    } else {
      running.delete(worker)
      idle.push(worker)
    }
  }

  /** Nobody can go on without all of its layers. */
  function failAll(why: string): void {
    failure ??= new RetryableError('ImportInterrupted', `a thread that links files has ended: ${why}`)
    for (const { done } of [...running.values(), ...waiting.splice(0)]) done.reject(failure)
    running.clear()
  }

  return {
    start() {
      while (workers.length < count) idle.push(startOne())
    },
    run(task) {
      if (failure) return Promise.reject(failure)
      const done = Promise.withResolvers<FillCounts>()
      waiting.push({ task, done })
      const worker = idle.pop() ?? (workers.length < count ? startOne() : undefined)
      if (worker) next(worker)
      return done.promise
    },
    cancel: () => void Atomics.store(new Int32Array(cancelled), 0, 1),
    async close() {
      failure ??= new RetryableError('ImportInterrupted', 'nothing is linked any more')
      await Promise.all(workers.map(worker => worker.terminate()))
    },
  }
}

function settle(entry: Waiting | undefined, report: LinkReport): void {
  if (report.kind === 'done') entry?.done.resolve(report.counts)
  else entry?.done.reject(reviveError(report.code, report.message))
}
