import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'

/** Processes that wait for work: to start one takes longer than many a piece of work. */
export interface Spares<Process extends ChildProcess> {
  /** The one that has waited for the longest time, or a new one. It is the caller's alone. */
  take(): Process
  /** Has a process wait. When nobody takes it for a while, its memory is given back. */
  keep(process: Process): void
}

/** Pods come in groups. */
const IDLE_MS = 60_000

/** What waits does not keep this process going, and has to end by itself when it loses its parent. */
export function createSpares<Process extends ChildProcess>(start: () => Process, idleMs = IDLE_MS): Spares<Process> {
  const waiting = new Map<Process, NodeJS.Timeout>()
  return {
    take() {
      for (const [process, timer] of waiting) {
        clearTimeout(timer)
        waiting.delete(process)
        if (!isRunning(process)) continue
        hold(process, 'ref')
        return process
      }
      return start()
    },
    keep(process) {
      if (!isRunning(process)) return
      hold(process, 'unref')
      const end = () => {
        waiting.delete(process)
        process.kill('SIGKILL')
      }
      waiting.set(process, setTimeout(end, idleMs).unref())
    },
  }
}

function isRunning({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null
}

function hold(process: ChildProcess, how: 'ref' | 'unref'): void {
  process[how]()
  process.channel?.[how]()
  for (const stream of process.stdio) if (stream instanceof Socket) stream[how]()
}
