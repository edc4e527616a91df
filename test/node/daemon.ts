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
  /** Everything that it wrote to stdout and stderr, over all its starts. */
  readonly logPath: string
  /** As the machine sees it, good for process.kill and /proc; undefined while it does not run. */
  readonly pid: number | undefined
  /** Resolves when it answers; with `wait: false` as soon as the process is there. */
  start(options?: { wait?: boolean }): Promise<void>
  /** SIGTERM, and waits for the end. Resolves to the exit code, undefined when a signal ended it. */
  stop(): Promise<number | undefined>
  /** SIGKILL, to its children as well if the daemon was made so, and waits for the end. */
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
  /** Resolves once the daemon answers; must give up when the signal is aborted. */
  readonly ready: (signal: AbortSignal) => Promise<void>
  /** kill() ends its children, too. */
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

/** Signals must reach the program itself, not nsenter: it tells its number in the machine's /proc before it begins. */
function spawnInside({ namespace, command, env, logPath }: DaemonPlan): ChildProcess {
  const log = openSync(logPath, 'a')
  const [program = '', ...args] = [
    ...namespace.enter,
    ...['sh', '-c', 'read -r pid _ <"$0"/self/stat; echo "$pid" >&3; exec "$@" 3>&-', namespace.hostProc],
    ...command,
  ]
  try {
    // Ctrl-C is for whoever started it, who then ends it in good order.
    return spawn(program, args, { env, stdio: ['ignore', log, log, 'pipe'], detached: true })
  } finally {
    closeSync(log)
  }
}

async function readPid(child: ChildProcess): Promise<number> {
  const pipe = child.stdio[3]
  if (!(pipe instanceof Readable)) throw new Error('no pipe')
  // One line: nsenter itself holds the pipe open for as long as it runs.
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
