import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'

/** Processes that wait for work: starting one often takes longer than the work itself. */
export interface Spares<Process> {
  /** Returns the process that has waited longest, or a new one. The caller owns it. */
  take(): Process
  /** Lets a process wait. If nobody takes it for a while, it is ended. */
  keep(process: Process): void
  /** Starts a process that waits. If that fails, the next `take` starts another one. */
  start(): void
}

/** Pods come in groups: the next one often follows within a minute. */
const IDLE_MS = 60_000

/** A waiting process does not keep this one alive, and must end by itself when its parent ends. */
export function createSpares<Process>(
  start: () => Process,
  childOf: (process: Process) => ChildProcess,
  idleMs = IDLE_MS,
): Spares<Process> {
  const waiting = new Map<Process, NodeJS.Timeout>()
  const keep = (process: Process) => {
    const child = childOf(process)
    if (!isRunning(child)) return
    unrefChild(child)
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
        refOrUnref(childOf(process), 'ref')
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

/** Lets this process end while the child still runs. */
export function unrefChild(child: ChildProcess): void {
  refOrUnref(child, 'unref')
}

function refOrUnref(child: ChildProcess, how: 'ref' | 'unref'): void {
  child[how]()
  for (const stream of child.stdio) if (stream instanceof Socket) stream[how]()
}
