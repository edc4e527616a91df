import { fileURLToPath } from 'node:url'
import { lazy } from '../async/lazy.ts'
import { readLines } from '../text/lines.ts'
import { groupOptions, loadExeca, signalGroup } from './run-process.ts'
import { createSpares, type Spares } from './spares.ts'

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
  /** A helper that is asked to end gets this long before it is killed. */
  readonly graceMs: number
}

export interface HelperRun {
  /** JSON; its one order. */
  readonly job: unknown
  /** Aborted: the helper is asked to end. */
  readonly signal: AbortSignal
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
    helper.stdin.on('error', () => {}) // it has ended: its exit tells
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

/** Whether there was a last one. */
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
    // A Ctrl-C is for the shim, which ends its helpers itself: they are groups of their own.
    ...groupOptions({ env: helperEnv(1), cwd: '/' }),
    forceKillAfterDelay: graceMs,
    stdin: 'pipe',
    stderr: 'inherit',
    buffer: false,
  })
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

/** Ends what a helper left behind. */
export function endGroups(groups: Iterable<number>): void {
  for (const group of groups) signalGroup(group, 'SIGKILL')
}
