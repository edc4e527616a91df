import * as v from 'valibot'
import { messageOf, RetryableError, reviveError } from '../../lib/errors.ts'
import { createHelperPool, HelperFailed, type HelperPool, type SpareOptions } from '../../lib/process/helper-pool.ts'
import { signalGroup } from '../../lib/process/run-process.ts'
import { MAX_TIMER_MS } from '../../lib/text/units.ts'
import { describeWork, type Recipe } from '../../recipes/recipe.ts'
import type { BuildCall } from './contract.ts'
import { BUILD_HELPER, type BuildJob, type BuildReport, buildTimedOut, reportSchema } from './helper/messages.ts'
import type { BuildResult } from './store/results.ts'

/** Of JavaScript objects. A build remembers and reads a fifth of this at a time. */
const HEAP_MEGABYTES = 32

/** After SIGTERM. A helper needs up to five seconds of it to end nix and its builders. */
const GRACE_MS = 10_000

/** A helper reports its own time limit. This long after it, the daemon ends the helper. */
const LATE_MS = 30_000

export interface BuildHelperOptions extends SpareOptions {
  /** The code of the first helpers, compiled: later ones start in less time. */
  readonly compileCache?: string
}

/** Runs each build in a process of its own. */
export interface BuildHelpers {
  /** Builds a recipe. Throws a ShimError. */
  make(job: BuildJob, call: BuildCall): Promise<BuildResult>
  /** Runs a package that is a program, and returns the store path of the archive that it wrote. Throws a ShimError. */
  runProgram(job: BuildJob & Required<Pick<BuildJob, 'program'>>, call: BuildCall): Promise<string>
}

export function createBuildHelpers({ compileCache, ...spare }: BuildHelperOptions): BuildHelpers {
  const nodeFlags = [`--max-old-space-size=${HEAP_MEGABYTES}`, '--max-semi-space-size=1', '--v8-pool-size=1']
  const program = { file: BUILD_HELPER, nodeFlags, arenas: 1, graceMs: GRACE_MS, isReused: false, compileCache }
  const pool = createHelperPool(program, spare)
  return {
    async make(job, call) {
      const last = await runInHelper(pool, job, call)
      if (last.kind !== 'done') throw interrupted(job.recipe, 'ran a program')
      return last.result
    },
    async runProgram(job, call) {
      const last = await runInHelper(pool, job, call)
      if (last.kind !== 'archive') throw interrupted(job.recipe, 'ran no program')
      return last.storePath
    },
  }
}

type Made = Extract<BuildReport, { kind: 'done' | 'archive' }>

async function runInHelper(pool: HelperPool, job: BuildJob, { signal, onProgress }: BuildCall): Promise<Made> {
  const groups = new Set<number>()
  const late = AbortSignal.timeout(Math.min(job.nix.timeoutMs + LATE_MS, MAX_TIMER_MS))
  const onReport = (report: BuildReport) => {
    if (report.kind === 'failed') throw reviveError(report.code, report.message)
    if (report.kind === 'done' || report.kind === 'archive') return report
    if (report.kind === 'progress') report.progress.forEach(onProgress)
    else if (report.kind === 'began') groups.add(report.group)
    else groups.delete(report.group)
    return undefined
  }
  try {
    const parse = (report: unknown) => v.parse(reportSchema, report)
    return await pool.run({ job, signal: AbortSignal.any([signal, late]), parse, onReport })
  } catch (error) {
    if (signal.aborted) throw cancelled(job.recipe, signal)
    if (!(error instanceof HelperFailed)) throw error
    throw late.aborted ? buildTimedOut(job.recipe, job.nix.timeoutMs) : interrupted(job.recipe, messageOf(error))
  } finally {
    // What a helper left behind.
    for (const group of groups) signalGroup(group, 'SIGKILL')
  }
}

function cancelled(recipe: Recipe, { reason }: AbortSignal): RetryableError {
  const why = reason instanceof RetryableError ? reason.message : 'nobody waits for it any more'
  return new RetryableError('Cancelled', `${describeWork(recipe)} was cancelled: ${why}`)
}

/** `how` continues "the process …". */
function interrupted(recipe: Recipe, how: string): RetryableError {
  const message = `${describeWork(recipe)} was interrupted: the process that reads the output of nix ${how}`
  return new RetryableError('BuildInterrupted', message)
}
