import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { PATIENCE_MS } from '../patience.ts'
import type { Namespace } from './namespace.ts'
import { killTree } from './process-tree.ts'

/** A long-running program of the bed. */
export interface Daemon {
  /** File with all output to stdout and stderr since the first start. */
  readonly logPath: string
  /** The process number outside the bed, for process.kill and /proc. Undefined while the program is not running. */
  readonly pid: number | undefined
  /** Resolves when the program answers, or with `wait: false` as soon as the process exists. */
  start(options?: { wait?: boolean }): Promise<void>
  /** Sends SIGTERM and waits for the end. Resolves to the exit code, or to undefined after a signal. */
  stop(): Promise<number | undefined>
  /** Sends SIGKILL, with `killsTree` also to its children, and waits for the end. */
  kill(): Promise<void>
  restart(): Promise<void>
  logTail(lines?: number): Promise<string>
}

export interface DaemonPlan {
  readonly name: string
  readonly namespace: Namespace
  readonly command: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly logPath: string
  /** Resolves when the program answers. Must give up when the signal aborts. */
  readonly ready: (signal: AbortSignal) => Promise<void>
  /** kill() also kills the program's children. */
  readonly killsTree?: boolean
}

export function createDaemon(plan: DaemonPlan): Daemon {
  let running: { child: ChildProcess; pid: number } | undefined
  const logTail = (lines = 30) => tail(plan.logPath, lines)

  const start = async ({ wait = true } = {}): Promise<void> => {
    if (running !== undefined) throw new Error(`${plan.name} runs already`)
    const child = spawnInside(plan)
    child.once('exit', () => {
      running = undefined
    })
    const pid = await readPid(child)
    running = { child, pid }
    if (wait) await waitUntilReady(plan, child, logTail)
  }

  const end = async (signal: NodeJS.Signals): Promise<number | undefined> => {
    if (running === undefined) return undefined
    const { child, pid } = running
    const exited = once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) })
    if (signal === 'SIGKILL' && plan.killsTree) killTree(pid)
    else process.kill(pid, signal)
    await exited.catch(async cause => {
      throw new Error(`${plan.name} does not end on ${signal}\n${await logTail()}`, { cause })
    })
    return child.exitCode ?? undefined
  }

  return {
    logPath: plan.logPath,
    get pid() {
      return running?.pid
    },
    start,
    stop: () => end('SIGTERM'),
    kill: async () => {
      await end('SIGKILL')
    },
    restart: async () => {
      await end('SIGTERM')
      await start()
    },
    logTail,
  }
}

/**
 * Signals must reach the program, not nsenter. So the shell writes its own process number before it runs the program.
 */
function spawnInside({ namespace, command, env, logPath }: DaemonPlan): ChildProcess {
  const log = openSync(logPath, 'a')
  const [program = '', ...args] = [
    ...namespace.enter,
    ...['sh', '-c', 'read -r pid _ <"$0"/self/stat; echo "$pid" >&3; exec "$@" 3>&-', namespace.hostProc],
    ...command,
  ]
  try {
    // A detached daemon does not get Ctrl-C. The process that started it then ends it.
    return spawn(program, args, { env, stdio: ['ignore', log, log, 'pipe'], detached: true })
  } finally {
    closeSync(log)
  }
}

async function readPid(child: ChildProcess): Promise<number> {
  const pipe = child.stdio[3]
  if (!(pipe instanceof Readable)) throw new Error('no pipe')
  // Reads only one line, because nsenter keeps the pipe open while it runs.
  for await (const line of pipe) return Number(line)
  throw new Error('the namespace has ended')
}

async function waitUntilReady(plan: DaemonPlan, child: ChildProcess, logTail: () => Promise<string>): Promise<void> {
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(new Error('it takes too long')), PATIENCE_MS)
  const onExit = () => giveUp.abort(new Error('it ended'))
  child.once('exit', onExit)
  try {
    if (child.exitCode !== null) onExit()
    await plan.ready(giveUp.signal)
    giveUp.signal.throwIfAborted()
  } catch (cause) {
    throw new Error(`${plan.name} did not start: ${giveUp.signal.reason ?? cause}\n${await logTail()}`, { cause })
  } finally {
    clearTimeout(timer)
    child.off('exit', onExit)
  }
}

async function tail(path: string, lines: number): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(-lines).join('\n')
}
