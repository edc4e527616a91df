import { type ChildProcess, fork } from 'node:child_process'
import { withDataLimit } from '../../lib/process/process-limits.ts'
import { helperEnv } from '../../lib/process/run-helper.ts'
import { createSpares } from '../../lib/process/spares.ts'
import { IMPORT_HELPER } from './helper/messages.ts'

/** Processes for imports, one for each that runs: what they read was written by strangers (see lib/process/run-helper.ts). */
export interface Workers {
  /** Runs `use` with a process of its own. After a failure the process is not used again. */
  withWorker<T>(use: (worker: ChildProcess) => Promise<T>): Promise<T>
}

/** Limits of JavaScript objects, which the bytes of documents and layers are not. */
const HEAP_FLAGS = ['--max-old-space-size=96', '--max-semi-space-size=1', '--v8-pool-size=1', '--expose-gc']
/**
 * Limit of everything that a process can write to, threads included. V8 reserves 512 MiB for code, and uses a few of them;
 * 759 MiB is the most that an import has needed, of an archive in zstd with a window of 128 MiB (2026-11-26).
 */
const DATA_LIMIT_KIB = 1024 * 1024

export function createWorkers(): Workers {
  const spares = createSpares(start, worker => worker)
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

/** A process that hangs in the kernel does not end; it must not keep the shim from ending. */
function discard(worker: ChildProcess): void {
  worker.kill('SIGKILL')
  worker.unref()
  worker.channel?.unref()
}

function start(): ChildProcess {
  const worker = fork(IMPORT_HELPER, [], {
    ...withDataLimit(DATA_LIMIT_KIB, HEAP_FLAGS),
    env: helperEnv(2),
    // Ctrl-C is for the shim, which cancels imports itself.
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  // Its user handles errors; without any listener an error would end this process.
  return worker.on('error', () => {})
}
