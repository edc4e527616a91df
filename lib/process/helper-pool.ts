import { fileURLToPath } from 'node:url'
import { lazy } from '../async/lazy.ts'
import { messageOf } from '../errors.ts'
import { readLines } from '../text/lines.ts'
import { groupOptions, loadExeca } from './run-process.ts'
import { createSpares, type Spares, unrefChild } from './spares.ts'

/**
 * Processes of our own program, each for one job at a time, which reads what strangers wrote. Bad input can cost a helper its time,
 * its memory or its life, but nothing else. The other end is serve-helper.ts.
 */
export interface HelperPool {
  /** Resolves with what `onReport` returns. Rejects with what it throws, or with HelperFailed. */
  run<Report, Last>(run: HelperRun<Report, Last>): Promise<Last>
}

export interface HelperProgram {
  /** Source or compiled. */
  readonly file: URL
  readonly nodeFlags: readonly string[]
  /** Memory pools of the C library, which otherwise has one for each thread. */
  readonly arenas: number
  /**
   * Limit of all memory that the helper and its children can write to. The limits of V8 do not cover buffers. An allocation beyond
   * it throws in the helper, or ends it. Source: RLIMIT_DATA in getrlimit(2), Linux 4.7 and newer.
   */
  readonly dataLimitKib?: number
  /** Folder for Node's compile cache, unless the environment of this process names one. */
  readonly compileCache?: string | undefined
  /** Time between SIGTERM and SIGKILL. */
  readonly graceMs: number
  /** Whether a helper takes the next job, too. Otherwise a new one is started when the pool has been idle for a while. */
  readonly isReused: boolean
}

export interface HelperRun<Report, Last> {
  /** Must be JSON. */
  readonly job: unknown
  /** When aborted, the helper gets SIGTERM. */
  readonly signal: AbortSignal
  /** Throws if a report is invalid: then the helper has failed. */
  readonly parse: (report: unknown) => Report
  /** Called for each report, until it returns something. An exception ends the helper. */
  readonly onReport: (report: Report, send: Send) => Last | undefined
}

/** Sends a message to the helper. Resolves once it is sent, and also if the helper has ended. */
export type Send = (message: unknown) => Promise<void>

/** The message continues "the process …". */
export class HelperFailed extends Error {}

export interface SpareOptions {
  readonly afterMs?: number
  /** Whether nothing else needs the memory of a waiting helper. */
  readonly isIdle?: (() => boolean) | undefined
}

/** Long enough for what follows a job: the import of what was built, and the next build in the queue. */
const SPARE_AFTER_MS = 500
/** About as long as it takes to start a helper. */
const RETRY_MS = 100

export function createHelperPool(
  program: HelperProgram,
  { afterMs = SPARE_AFTER_MS, isIdle = () => true }: SpareOptions = {},
): HelperPool {
  let running = 0
  let timer: NodeJS.Timeout | undefined
  const openSpares = lazy(async () => {
    const execa = await loadExeca()
    return createSpares(
      () => start(execa, program),
      ({ child }) => child,
    )
  })
  const startSpare = (spares: Spares<Helper>) => {
    if (isIdle()) spares.start()
    else startSpareIn(spares, RETRY_MS)
  }
  const startSpareIn = (spares: Spares<Helper>, ms: number) => {
    timer = setTimeout(() => startSpare(spares), ms).unref()
  }
  return {
    async run(run) {
      running += 1
      clearTimeout(timer)
      const spares = await openSpares()
      const helper = spares.take()
      try {
        const last = await runJob(helper, run, program.graceMs)
        if (program.isReused) spares.keep(helper)
        else helper.kill('SIGTERM')
        return last
      } catch (error) {
        discard(helper)
        throw error
      } finally {
        running -= 1
        if (running === 0 && !program.isReused && !run.signal.aborted) startSpareIn(spares, afterMs)
      }
    },
  }
}

/** A killed process ends immediately unless it hangs in the kernel. */
const END_LIMIT_MS = 5_000

async function runJob<Report, Last>(helper: Helper, run: HelperRun<Report, Last>, graceMs: number): Promise<Last> {
  const hanging = Promise.withResolvers<never>()
  let timer: NodeJS.Timeout | undefined
  const end = () => {
    helper.kill('SIGTERM')
    const giveUp = () => hanging.reject(new HelperFailed('cannot be ended; check whether a disk of the node hangs'))
    timer = setTimeout(giveUp, graceMs + END_LIMIT_MS)
  }
  if (run.signal.aborted) end()
  else run.signal.addEventListener('abort', end, { once: true })
  try {
    void helper.send({ kind: 'job', job: run.job })
    return await Promise.race([readReports(helper, run), hanging.promise])
  } finally {
    clearTimeout(timer)
    run.signal.removeEventListener('abort', end)
  }
}

async function readReports<Report, Last>(
  helper: Helper,
  { parse, onReport }: Pick<HelperRun<Report, Last>, 'parse' | 'onReport'>,
): Promise<Last> {
  const send: Send = message => helper.send({ kind: 'message', message })
  for (let line = await helper.reports.next(); !line.done; line = await helper.reports.next()) {
    const last = onReport(parseReport(line.value, parse), send)
    if (last !== undefined) return last
  }
  throw await helper.failure()
}

function parseReport<Report>(line: string, parse: (report: unknown) => Report): Report {
  try {
    return parse(JSON.parse(line))
  } catch (cause) {
    throw new HelperFailed('sent an invalid report', { cause })
  }
}

/** A process that hangs in the kernel does not end; it must not keep ours from ending. */
function discard(helper: Helper): void {
  helper.kill('SIGKILL')
  unrefChild(helper.child)
}

/** Longest report, in characters. */
const MAX_REPORT_LENGTH = 1024 * 1024

type Helper = ReturnType<typeof start>

function start(execa: Awaited<ReturnType<typeof loadExeca>>, program: HelperProgram) {
  const [command, ...args] = commandLine(program)
  const subprocess = execa(command, args, {
    // In a group of its own, a helper gets no SIGINT from a terminal: its owner ends it.
    ...groupOptions({ env: helperEnv(program), cwd: '/' }),
    forceKillAfterDelay: program.graceMs,
    stdin: 'pipe',
    stderr: 'inherit',
    buffer: false,
  })
  const { stdin, stdout, nodeChildProcess: child } = subprocess
  stdin.on('error', () => {}) // the helper has ended, which is reported by its exit
  return {
    child,
    reports: readLines(stdout, MAX_REPORT_LENGTH),
    send: (order: unknown) =>
      new Promise<void>(resolve => void stdin.write(`${JSON.stringify(order)}\n`, () => resolve())),
    kill: (signal: NodeJS.Signals) => void subprocess.kill(signal),
    async failure() {
      const { exitCode, signal, cause } = await subprocess
      if (child.pid === undefined) return new HelperFailed(`could not be started (${messageOf(cause)})`, { cause })
      return new HelperFailed(`ended (${signal ?? `exit code ${exitCode}`})`)
    },
  }
}

/** Node cannot set the limit of its data itself. */
function commandLine({ file, nodeFlags, dataLimitKib }: HelperProgram): [command: string, ...args: string[]] {
  const node = [process.execPath, ...nodeFlags, fileURLToPath(file)] as const
  return dataLimitKib === undefined ? [...node] : ['/bin/sh', '-c', LIMITED, String(dataLimitKib), ...node]
}

/** The first argument is `$0`. */
const LIMITED = 'ulimit -d "$0" && exec "$@"'

/** The whole environment of a helper. */
function helperEnv({ arenas, compileCache }: HelperProgram): NodeJS.ProcessEnv {
  const { PATH } = process.env
  const cache = process.env.NODE_COMPILE_CACHE || compileCache
  return {
    MALLOC_ARENA_MAX: String(arenas),
    ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }),
    ...(PATH !== undefined && { PATH }),
  }
}
