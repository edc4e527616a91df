import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'

/** Processes that wait for work: to start one takes longer than many a piece of work. */
export interface Spares<Process> {
  /** The one that has waited for the longest time, or a new one. It is the caller's alone. */
  take(): Process
  /** Has a process wait. When nobody takes it for a while, its memory is given back. */
  keep(process: Process): void
  /** Has a new process wait. If there is no room for it, whoever takes the next one is told so. */
  start(): void
}

/** Pods come in groups. */
const IDLE_MS = 60_000

/** What waits does not keep this process going, and has to end by itself when it loses its parent. */
export function createSpares<Process>(
  start: () => Process,
  childOf: (process: Process) => ChildProcess,
  idleMs = IDLE_MS,
): Spares<Process> {
  const waiting = new Map<Process, NodeJS.Timeout>()
  const keep = (process: Process) => {
    const child = childOf(process)
    if (!isRunning(child)) return
    hold(child, 'unref')
    const end = () => {
      waiting.delete(process)
      child.kill('SIGKILL')
    }
    waiting.set(process, setTimeout(end, idleMs).unref())
  }
  return {
    take() {
      for (const [process, timer] of waiting) {
        clearTimeout(timer)
        waiting.delete(process)
        if (!isRunning(childOf(process))) continue
        hold(childOf(process), 'ref')
        return process
      }
      return start()
    },
    keep,
    start: () => keep(start()),
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
