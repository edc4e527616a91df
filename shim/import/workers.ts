import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { helperEnv } from '../helper/run-helper.ts'

/** Helper processes for imports, one for each that runs: what they read comes from strangers, see ../helper/run-helper.ts. */
export interface Workers {
  /** Runs `use` with a process that nobody else has. */
  withWorker<T>(use: (worker: ChildProcess) => Promise<T>): Promise<T>
}

/** The same file, as source or compiled. */
const WORKER = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))
/** For JavaScript objects; the bytes of layers are not among them. */
const HEAP_FLAGS = ['--max-old-space-size=96', '--max-semi-space-size=2', '--v8-pool-size=1', '--expose-gc']
/** A process takes longer to start than a linked image to import; pods come in groups. Then its memory is given back. */
const IDLE_MS = 60_000

export function createWorkers(idleMs = IDLE_MS): Workers {
  const idle = new Map<ChildProcess, NodeJS.Timeout>()

  function start(): ChildProcess {
    const worker = fork(WORKER, [], {
      execArgv: HEAP_FLAGS,
      env: helperEnv(2),
      // A Ctrl-C is for the shim, which calls imports off itself.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    // Whoever uses it hears of its failure; without a listener that would end this process.
    worker.on('error', () => {}).once('exit', () => idle.delete(worker))
    return worker
  }

  function take(): ChildProcess {
    const [first] = idle
    if (!first) return start()
    const [worker, timer] = first
    clearTimeout(timer)
    idle.delete(worker)
    worker.ref()
    worker.channel?.ref()
    return worker
  }

  function keep(worker: ChildProcess): void {
    worker.unref()
    worker.channel?.unref()
    idle.set(worker, setTimeout(() => worker.kill('SIGKILL'), idleMs).unref())
  }

  return {
    async withWorker(use) {
      const worker = take()
      try {
        return await use(worker)
      } finally {
        if (worker.pid !== undefined && worker.connected) keep(worker)
      }
    },
  }
}
