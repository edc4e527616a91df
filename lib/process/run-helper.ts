import { fileURLToPath } from 'node:url'
import { lazy } from '../async/lazy.ts'
import { readLines } from '../text/lines.ts'
import { groupOptions, loadExeca, signalGroup } from './run-process.ts'
import { createSpares, type Spares } from './spares.ts'

/**
 * Processes of our own program, each for one piece of work on untrusted text. Bad input can cost a helper its time, its memory or
 * its life, but nothing else. A helper and its children have the lowest priority and are the first to be killed if memory runs out.
 */
export interface Helpers {
  /** Resolves after the helper's last report, or when the helper has ended and all its reports are read. */
  run(run: HelperRun): Promise<HelperEnd>
}

export interface HelperProgram {
  /** Source or compiled. */
  readonly file: URL
  /** Limit for JavaScript objects. */
  readonly heapMegabytes: number
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number
}

export interface HelperRun {
  /** The helper's only order; must be JSON. */
  readonly job: unknown
  /** When aborted, the helper gets SIGTERM. */
  readonly signal: AbortSignal
  /** Called for each report. An exception ends the helper. */
  readonly onReport: (report: unknown) => void
  /** Called after each report: whether it was the last one. `run` then does not wait for the helper to end. */
  readonly isLast?: () => boolean
}

/** Both are missing if `run` did not wait for the end. */
export interface HelperEnd {
  readonly exitCode: number | undefined
  readonly killedBy: string | undefined
}

/** Longest report, in characters. */
const MAX_REPORT_LENGTH = 1024 * 1024

/** Not at once: first comes the import of what was built, and the next build in the queue. */
const SPARE_AFTER_MS = 500
/** About as long as it takes to start a helper. */
const LOOK_AGAIN_MS = 100

export interface SpareOptions {
  readonly afterMs?: number
  /** Whether nothing else needs the memory of a waiting helper. */
  readonly isIdle?: (() => boolean) | undefined
}

/** Some time after a run, when the shim is idle, a helper is started for the next run. */
export function createHelpers(
  program: HelperProgram,
  { afterMs = SPARE_AFTER_MS, isIdle = () => true }: SpareOptions = {},
): Helpers {
  let running = 0
  let timer: NodeJS.Timeout | undefined
  const openSpares = lazy(async () => {
    const execa = await loadExeca()
    return createSpares(
      () => start(execa, program),
      helper => helper.nodeChildProcess,
    )
  })
  const startSpare = (spares: Spares<Helper>) => {
    if (isIdle()) spares.start()
    else startSpareIn(spares, LOOK_AGAIN_MS)
  }
  const startSpareIn = (spares: Spares<Helper>, ms: number) => {
    timer = setTimeout(() => startSpare(spares), ms).unref()
  }
  return {
    async run(run) {
      running += 1
      clearTimeout(timer)
      const spares = await openSpares()
      try {
        return await runHelper(spares.take(), run)
      } finally {
        running -= 1
        if (running === 0 && !run.signal.aborted) startSpareIn(spares, afterMs)
      }
    },
  }
}

async function runHelper(helper: Helper, run: HelperRun): Promise<HelperEnd> {
  const end = () => void helper.kill()
  if (run.signal.aborted) end()
  else run.signal.addEventListener('abort', end, { once: true })
  try {
    helper.stdin.on('error', () => {}) // the helper has ended, and its exit is reported below
    helper.stdin.write(`${JSON.stringify(run.job)}\n`)
    if (await readReports(helper, run)) {
      end()
      return { exitCode: undefined, killedBy: undefined }
    }
    const { exitCode, signal: killedBy, cause } = await helper
    if (helper.pid === undefined) throw cause
    return { exitCode, killedBy }
  } catch (error) {
    helper.kill('SIGKILL')
    await helper
    throw error
  } finally {
    run.signal.removeEventListener('abort', end)
  }
}

/** Returns whether the last report came. */
async function readReports({ stdout }: Helper, { onReport, isLast }: HelperRun): Promise<boolean> {
  for await (const line of readLines(stdout, MAX_REPORT_LENGTH)) {
    onReport(JSON.parse(line))
    if (isLast?.()) return true
  }
  return false
}

type Helper = ReturnType<typeof start>

function start(execa: Awaited<ReturnType<typeof loadExeca>>, { file, heapMegabytes, graceMs }: HelperProgram) {
  const flags = [`--max-old-space-size=${heapMegabytes}`, '--max-semi-space-size=1', '--v8-pool-size=1']
  return execa(process.execPath, [...flags, fileURLToPath(file)], {
    // In a group of its own, a helper gets no SIGINT from a terminal: the shim ends its helpers itself.
    ...groupOptions({ env: helperEnv(1), cwd: '/' }),
    forceKillAfterDelay: graceMs,
    stdin: 'pipe',
    stderr: 'inherit',
    buffer: false,
  })
}

/**
 * The whole environment of a helper. `arenas` limits the memory pools of the C library, which otherwise has one for each thread.
 * PATH and Node's compile cache are those of the daemon.
 */
export function helperEnv(arenas: number): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE, PATH } = process.env
  return {
    MALLOC_ARENA_MAX: String(arenas),
    ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }),
    ...(PATH !== undefined && { PATH }),
  }
}

/** Kills what a helper left behind. */
export function endGroups(groups: Iterable<number>): void {
  for (const group of groups) signalGroup(group, 'SIGKILL')
}
