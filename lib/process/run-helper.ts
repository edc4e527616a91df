import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { readLines } from '../text/lines.ts'
import { signalGroup } from './run-process.ts'
import { createSpares } from './spares.ts'

/**
 * Processes of our own program, each for one piece of work on foreign text: what it reads may cost it its time, its memory and its
 * life, and nobody else. It goes behind all others for the processors, and is the first to go where memory runs out; so is what
 * it starts.
 */
export interface Helpers {
  /** Resolves when the helper has told the last report, or has ended and all its reports are read. */
  run(run: HelperRun): Promise<HelperEnd>
}

export interface HelperProgram {
  /** As source or compiled. */
  readonly file: URL
  /** For JavaScript objects. */
  readonly heapMegabytes: number
}

export interface HelperRun {
  /** JSON; its one order. */
  readonly job: unknown
  /** Aborted: the helper is asked to end, and is ended `graceMs` later. */
  readonly signal: AbortSignal
  readonly graceMs: number
  /** Told each report, one at a time. What it throws ends the helper. */
  readonly onReport: (report: unknown) => void
  /** Asked after each report: whether it was the last. The helper ends then, which is not waited for. */
  readonly isLast?: () => boolean
}

/** Both are missing where it was not waited for. */
export interface HelperEnd {
  readonly exitCode: number | undefined
  readonly killedBy: string | undefined
}

/** Longest report, in characters. */
const MAX_REPORT_LENGTH = 1024 * 1024

/** Not at once: what a run was for goes on now, and whoever waits for a place begins. */
const SPARE_AFTER_MS = 500
/** As long as it takes to start one. */
const LOOK_AGAIN_MS = 100

export interface SpareOptions {
  readonly afterMs?: number
  /** Whether what runs has no use for the memory that a waiting helper takes. */
  readonly isIdle?: (() => boolean) | undefined
}

/** Some time after a run, when nothing else goes on, a helper is started for the next one. */
export function createHelpers(
  program: HelperProgram,
  { afterMs = SPARE_AFTER_MS, isIdle = () => true }: SpareOptions = {},
): Helpers {
  const spares = createSpares(() => start(program))
  let running = 0
  let timer: NodeJS.Timeout | undefined
  const startSpare = () => {
    if (!isIdle()) return startSpareIn(LOOK_AGAIN_MS)
    try {
      spares.keep(start(program))
    } catch {
      // If there is no room for it, the next run will say so.
    }
  }
  const startSpareIn = (ms: number) => {
    timer = setTimeout(startSpare, ms).unref()
  }
  return {
    async run(run) {
      running += 1
      clearTimeout(timer)
      try {
        return await runHelper(spares.take(), run)
      } finally {
        running -= 1
        if (running === 0 && !run.signal.aborted) startSpareIn(afterMs)
      }
    },
  }
}

async function runHelper(child: Helper, run: HelperRun): Promise<HelperEnd> {
  const ended = once(child, 'exit')
  // One that cannot be started may tell so before anybody waits for it.
  ended.catch(() => {})
  const stopWatching = endOnAbort(child, run)
  try {
    child.stdin.on('error', () => {}) // it has ended: that is told by its exit
    child.stdin.write(`${JSON.stringify(run.job)}\n`)
    if (await readReports(child, run)) {
      endLater(child, run)
      return { exitCode: undefined, killedBy: undefined }
    }
    const [exitCode, killedBy] = await ended
    return { exitCode: exitCode ?? undefined, killedBy: killedBy ?? undefined }
  } catch (error) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended.catch(() => {})
    throw error
  } finally {
    stopWatching()
  }
}

/** Whether there was a last one. */
async function readReports({ stdout }: Helper, { onReport, isLast }: HelperRun): Promise<boolean> {
  for await (const line of readLines(stdout, MAX_REPORT_LENGTH)) {
    onReport(JSON.parse(line))
    if (isLast?.()) return true
  }
  return false
}

/** It is waited for before this process ends, as any child is. */
function endLater(child: Helper, { graceMs }: HelperRun): void {
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  child.once('exit', () => clearTimeout(timer))
}

type Helper = ChildProcessByStdio<Writable, Readable, null>

function start({ file, heapMegabytes }: HelperProgram): Helper {
  const flags = [`--max-old-space-size=${heapMegabytes}`, '--max-semi-space-size=1', '--v8-pool-size=1']
  const child = spawn(process.execPath, [...flags, fileURLToPath(file)], {
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
 * these `arenas`; programs and what Node has compiled it finds where the daemon does.
 */
export function helperEnv(arenas: number): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE, PATH } = process.env
  return {
    MALLOC_ARENA_MAX: String(arenas),
    ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }),
    ...(PATH !== undefined && { PATH }),
  }
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
