import * as v from 'valibot'
import { messageOf, RetryableError, reviveError, ShimError } from '../../lib/errors.ts'
import {
  createHelpers,
  endGroups,
  type HelperEnd,
  type Helpers,
  type SpareOptions,
} from '../../lib/process/run-helper.ts'
import { MAX_TIMER_MS } from '../../lib/text/duration.ts'
import { describeWork, type Recipe } from '../../recipes/recipe.ts'
import type { BuildCall } from './contract.ts'
import { BUILD_HELPER, type BuildJob, type BuildReport, buildTimedOut, reportSchema } from './helper/messages.ts'
import type { BuildResult } from './store/results.ts'

/** A run remembers and reads a fifth of this at a time. */
const HEAP_MEGABYTES = 32

/** The helper gives nix five seconds to end its builders, then kills it. */
const GRACE_MS = 10_000

/** Beyond its own time limit, a helper gets this long to report it. */
const LATE_MS = 30_000

/** Runs each build in a process of its own. */
export interface BuildHelpers {
  /** Builds a recipe. Throws a ShimError. */
  make(job: BuildJob, call: BuildCall): Promise<BuildResult>
  /** Runs a package that is a program, and returns the store path of the archive that it wrote. Throws a ShimError. */
  runProgram(job: Required<BuildJob>, call: BuildCall): Promise<string>
}

export function createBuildHelpers(spare: SpareOptions): BuildHelpers {
  const helpers = createHelpers({ file: BUILD_HELPER, heapMegabytes: HEAP_MEGABYTES, graceMs: GRACE_MS }, spare)
  return {
    async make(job, call) {
      const last = await runInHelper(helpers, job, call)
      if (last.kind !== 'done') throw interrupted(job.recipe, 'it ran a program')
      return last.result
    },
    async runProgram(job, call) {
      const last = await runInHelper(helpers, job, call)
      if (last.kind !== 'archive') throw interrupted(job.recipe, 'it ran no program')
      return last.storePath
    },
  }
}

type Made = Extract<BuildReport, { kind: 'done' | 'archive' }>
type Last = Made | Extract<BuildReport, { kind: 'failed' }>

async function runInHelper(helpers: Helpers, job: BuildJob, { signal, onProgress }: BuildCall): Promise<Made> {
  const groups = new Set<number>()
  const late = AbortSignal.timeout(Math.min(job.nix.timeoutMs + LATE_MS, MAX_TIMER_MS))
  let last: Last | undefined
  const onReport = (message: unknown) => {
    const report = v.parse(reportSchema, message)
    if (report.kind === 'progress') report.progress.forEach(onProgress)
    else if (report.kind === 'began') groups.add(report.group)
    else if (report.kind === 'ended') groups.delete(report.group)
    else last = report
  }
  try {
    const end = await helpers.run({
      job,
      signal: AbortSignal.any([signal, late]),
      onReport,
      isLast: () => last !== undefined,
    })
    if (last && last.kind !== 'failed') return last
    if (signal.aborted) throw cancelled(job.recipe, signal)
    throw last ? reviveError(last.code, last.message) : explainEnd(job, end, late)
  } catch (error) {
    // The helper could not be started, or sent an invalid report.
    throw error instanceof ShimError ? error : interrupted(job.recipe, messageOf(error))
  } finally {
    endGroups(groups)
  }
}

function cancelled(recipe: Recipe, { reason }: AbortSignal): RetryableError {
  const why = reason instanceof RetryableError ? reason.message : 'nobody waits for it any more'
  return new RetryableError('Cancelled', `${describeWork(recipe)} was cancelled: ${why}`)
}

/** The helper ended without a last report. */
function explainEnd({ recipe, nix }: BuildJob, { exitCode, killedBy }: HelperEnd, late: AbortSignal): ShimError {
  if (!late.aborted) return interrupted(recipe, killedBy ?? `exit code ${exitCode}`)
  return buildTimedOut(recipe, nix.timeoutMs)
}

function interrupted(recipe: Recipe, how: string): RetryableError {
  const message = `${describeWork(recipe)} was interrupted: the process that reads the output of nix has ended (${how})`
  return new RetryableError('BuildInterrupted', message)
}
