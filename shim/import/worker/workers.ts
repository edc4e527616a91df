import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withDataLimit } from '../../../lib/process/process-limits.ts'
import { helperEnv } from '../../../lib/process/run-helper.ts'
import { createSpares } from '../../../lib/process/spares.ts'

/** Helper processes for imports, one for each that runs: what they read comes from strangers, see ../helper/run-helper.ts. */
export interface Workers {
  /** Runs `use` with a process that nobody else has. One in which it has failed is not used again, whatever it has been left with. */
  withWorker<T>(use: (worker: ChildProcess) => Promise<T>): Promise<T>
}

/** The same file, as source or compiled. */
const WORKER = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))
/** For JavaScript objects; the bytes of documents and layers are not among them. */
const HEAP_FLAGS = ['--max-old-space-size=96', '--max-semi-space-size=1', '--v8-pool-size=1', '--expose-gc']
/**
 * Of all that a helper can write to, threads included. V8 has 512 MiB set aside for code from the start, of which it uses a few;
 * 759 MiB is the most that an import was seen to take, of an archive in zstd with a window of 128 MiB (2026-11-26).
 */
const DATA_LIMIT_KIB = 1024 * 1024

export function createWorkers(): Workers {
  const spares = createSpares(start)
  return {
    async withWorker(use) {
      const worker = spares.take()
      try {
        const result = await use(worker)
        if (worker.connected) spares.keep(worker)
        return result
      } catch (error) {
        discard(worker)
        throw error
      }
    },
  }
}

/** One that hangs in the kernel does not end, and keeps nobody from ending. */
function discard(worker: ChildProcess): void {
  worker.kill('SIGKILL')
  worker.unref()
  worker.channel?.unref()
}

function start(): ChildProcess {
  const worker = fork(WORKER, [], {
    ...withDataLimit(DATA_LIMIT_KIB, HEAP_FLAGS),
    env: helperEnv(2),
    // A Ctrl-C is for the shim, which calls imports off itself.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  // Whoever uses it hears of its failure; without a listener that would end this process.
  return worker.on('error', () => {})
}
