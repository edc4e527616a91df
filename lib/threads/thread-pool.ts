import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { messageOf, reviveError } from '../errors.ts'
import type { ThreadData, ThreadMessage } from './serve-tasks.ts'

/** Threads that handle tasks in the order in which they come. A thread starts with the first task that no other is free for. */
export interface ThreadPool<Task, Answer, Part, Data> {
  /** Starts all threads now, as that takes a while. */
  start(): void
  /** Parts of the answer are given to `onPart` as they come. Rejects with the ShimError of the task. */
  run(task: Task, onPart?: (part: Part, data: Data) => void): Promise<Answer>
  /** Rejects all that wait, and all that come, with the reason. Running tasks can see that they are cancelled. */
  cancel(reason: unknown): void
  /** Ends the threads, even busy ones, for good. */
  close(): Promise<void>
}

export interface ThreadPoolOptions<Data> {
  /** Program of a thread, which calls serveTasks. */
  readonly program: URL
  readonly name: string
  readonly count: number
  /** Makes what one thread has for itself, shared memory for example. */
  readonly makeData: () => Data
  /** For tasks whose thread has ended, with the reason. */
  readonly toError: (reason: string) => Error
}

/** Threads for work beside containerd's, which gets a processor for itself. */
export function threadCount(most: number): number {
  return Math.min(Math.max(availableParallelism() - 1, 1), most)
}

/** V8 would reserve 512 MiB for the code of each thread, which count as memory (see `dataLimitKib` in ../process/helper-pool.ts). */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4, codeRangeSizeMb: 16 }

export function createThreadPool<Task, Answer, Part = never, Data = undefined>(
  options: ThreadPoolOptions<Data>,
): ThreadPool<Task, Answer, Part, Data> {
  interface Job {
    readonly task: Task
    readonly onPart: (part: Part, data: Data) => void
    readonly done: PromiseWithResolvers<Answer>
  }
  interface Thread {
    readonly worker: Worker
    readonly data: Data
    job?: Job | undefined
  }
  const { program, name, count, makeData, toError } = options
  const cancelled = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  const threads = new Set<Thread>()
  const idle: Thread[] = []
  const waiting: Job[] = []
  let end: { readonly reason: unknown } | undefined

  function startOne(): Thread {
    const data = makeData()
    const workerData: ThreadData<Data> = { data, cancelled }
    const worker = new Worker(program, { workerData, resourceLimits: RESOURCE_LIMITS, name })
    const thread: Thread = { worker, data }
    threads.add(thread)
    worker
      .on('message', (message: ThreadMessage<Part, Answer>) => receive(thread, message))
      .on('error', cause => fail(thread, messageOf(cause)))
      .on('exit', () => fail(thread, 'it was stopped'))
    return thread
  }

  function receive(thread: Thread, message: ThreadMessage<Part, Answer>): void {
    const { job, data } = thread
    if (message.kind === 'part') {
      job?.onPart(message.part, data)
      return
    }
    next(thread)
    if (message.kind === 'answer') job?.done.resolve(message.answer)
    else job?.done.reject(reviveError(message.code, message.message, message.stack))
  }

  function next(thread: Thread): void {
    thread.job = waiting.shift()
    if (thread.job) thread.worker.postMessage(thread.job.task)
    else idle.push(thread)
  }

  function fail(thread: Thread, reason: string): void {
    if (!threads.delete(thread)) return
    if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1)
    thread.job?.done.reject(toError(reason))
    if (waiting.length > 0) next(startOne())
  }

  function rejectWaiting(reason: unknown): void {
    end ??= { reason }
    for (const { done } of waiting.splice(0)) done.reject(end.reason)
  }

  return {
    start() {
      while (threads.size < count) idle.push(startOne())
    },
    run(task, onPart = () => {}) {
      if (end) return Promise.reject(end.reason)
      const done = Promise.withResolvers<Answer>()
      waiting.push({ task, onPart, done })
      const free = idle.pop() ?? (threads.size < count ? startOne() : undefined)
      if (free) next(free)
      return done.promise
    },
    cancel(reason) {
      Atomics.store(new Int32Array(cancelled), 0, 1)
      rejectWaiting(reason)
    },
    async close() {
      rejectWaiting(toError('it was stopped'))
      await Promise.all([...threads].map(({ worker }) => worker.terminate()))
    },
  }
}
