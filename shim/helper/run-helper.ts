import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readLines } from '../build/lines.ts'
import { signalGroup } from '../process-group.ts'

/**
 * A process of our own program for one piece of work on foreign text: what it reads may cost it its time, its memory and its
 * life, and nobody else. It goes behind all others for the processors, and is the first to go where memory runs out; so is what
 * it starts.
 */
export interface HelperRun {
  /** The program's file, as source or compiled. */
  readonly program: URL
  /** JSON; its one order. */
  readonly job: unknown
  /** For JavaScript objects. */
  readonly heapMegabytes: number
  /** Aborted: the helper is asked to end, and is ended `graceMs` later. */
  readonly signal: AbortSignal
  readonly graceMs: number
  /** Told each report, one at a time. What it throws ends the helper. */
  readonly onReport: (report: unknown) => void
}

export interface HelperEnd {
  readonly exitCode: number | undefined
  readonly killedBy: string | undefined
}

/** Longest report, in characters. */
const MAX_REPORT_LENGTH = 1024 * 1024

/** Resolves when the helper has ended and all its reports are read. */
export async function runHelper(run: HelperRun): Promise<HelperEnd> {
  const child = start(run)
  const ended = once(child, 'exit')
  // One that cannot be started may tell so before anybody waits for it.
  ended.catch(() => {})
  const stopWatching = endOnAbort(child, run)
  try {
    child.stdin.on('error', () => {}) // it has ended: that is told by its exit
    child.stdin.write(`${JSON.stringify(run.job)}\n`)
    for await (const line of readLines(child.stdout, MAX_REPORT_LENGTH)) run.onReport(JSON.parse(line))
    const [exitCode, killedBy] = await ended
    return { exitCode: exitCode ?? undefined, killedBy: killedBy ?? undefined }
  } finally {
    stopWatching()
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended.catch(() => {})
  }
}

type Helper = ChildProcessByStdio<Writable, Readable, null>

function start({ program, heapMegabytes }: HelperRun): Helper {
  const flags = [
    `--max-old-space-size=${heapMegabytes}`,
    '--max-semi-space-size=1',
    '--v8-pool-size=1',
    '--optimize-for-size',
  ]
  const child = spawn(process.execPath, [...flags, fileURLToPath(program)], {
    // A Ctrl-C is for the shim, which ends its helpers itself.
    detached: true,
    env: helperEnv(1),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.on('error', () => {}) // who waits for the exit is told
  return child
}

/**
 * The whole environment of a helper. Each of its threads would take memory of its own from the C library, hence a bound on
 * these `arenas`; what Node has compiled it finds where the daemon does.
 */
export function helperEnv(arenas: number): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE } = process.env
  return { MALLOC_ARENA_MAX: String(arenas), ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) }
}

function endOnAbort(child: Helper, { signal, graceMs }: HelperRun): () => void {
  let timer: NodeJS.Timeout | undefined
  const end = () => {
    child.kill('SIGTERM')
    timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  return () => {
    signal.removeEventListener('abort', end)
    clearTimeout(timer)
  }
}

/** Ends what a helper left behind. */
export function endGroups(groups: Iterable<number>): void {
  for (const group of groups) signalGroup(group, 'SIGKILL')
}
