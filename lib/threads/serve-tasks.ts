import { parentPort, workerData } from 'node:worker_threads'
import { type ErrorCode, toShimError } from '../errors.ts'

/** Messages of a thread about its task; all but `part` are the last. */
export type ThreadMessage<Part, Answer> =
  | { readonly kind: 'part'; readonly part: Part }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly stack: string | undefined }

/** What a thread gets at its start. */
export interface ThreadData<Data> {
  readonly data: Data
  /** One Int32, which is not zero once the pool is cancelled. */
  readonly cancelled: SharedArrayBuffer
}

/** What the handler of a task may use. */
export interface TaskContext<Part, Data> {
  /** The thread's own. */
  readonly data: Data
  /** Sends a part of the answer. */
  readonly send: (part: Part) => void
  readonly isCancelled: () => boolean
}

/** Makes this thread one of a pool (see thread-pool.ts): handles its tasks, one after another. */
export function serveTasks<Task, Answer, Part = never, Data = undefined>(
  handle: (task: Task, context: TaskContext<Part, Data>) => Answer | Promise<Answer>,
): void {
  const { data, cancelled }: ThreadData<Data> = workerData
  const flag = new Int32Array(cancelled)
  const post = (message: ThreadMessage<Part, Answer>) => parentPort?.postMessage(message)
  const context = {
    data,
    send: (part: Part) => post({ kind: 'part', part }),
    isCancelled: () => Atomics.load(flag, 0) !== 0,
  }
  parentPort?.on('message', async (task: Task) => {
    try {
      post({ kind: 'answer', answer: await handle(task, context) })
    } catch (error) {
      const { code, message, stack } = toShimError(error)
      post({ kind: 'failed', code, message, stack })
    }
  })
}
