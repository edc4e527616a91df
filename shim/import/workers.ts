import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** Threads for imports, one for each that runs. */
export interface Workers {
  /** Runs `use` with a thread that nobody else has. */
  withWorker<T>(use: (worker: Worker) => Promise<T>): Promise<T>
}

/** The same file, as source or compiled. */
const WORKER = new URL(`./worker${extname(import.meta.url)}`, import.meta.url)
/** For JavaScript objects; the bytes of layers are not among them. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 6 }
/** A thread takes longer to start than a linked image to import; pods come in groups. Then its memory is given back. */
const IDLE_MS = 60_000

export function createWorkers(idleMs = IDLE_MS): Workers {
  const idle = new Map<Worker, NodeJS.Timeout>()

  function start(): Worker {
    const worker = new Worker(WORKER, { resourceLimits: WORKER_LIMITS, name: 'import' })
    // Whoever uses it hears of its failure; without a listener that would end the process.
    worker.on('error', () => {}).once('exit', () => idle.delete(worker))
    return worker
  }

  function take(): Worker {
    const [first] = idle
    if (!first) return start()
    const [worker, timer] = first
    clearTimeout(timer)
    idle.delete(worker)
    worker.ref()
    return worker
  }

  function keep(worker: Worker): void {
    worker.unref()
    idle.set(worker, setTimeout(() => worker.terminate(), idleMs).unref())
  }

  return {
    async withWorker(use) {
      const worker = take()
      try {
        return await use(worker)
      } finally {
        // A thread that has ended has no number any more.
        if (worker.threadId >= 0) keep(worker)
      }
    },
  }
}
