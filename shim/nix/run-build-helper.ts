import { extname } from 'node:path'
import * as v from 'valibot'
import { FinalError, messageOf, RetryableError, reviveError, ShimError } from '../../lib/errors.ts'
import {
  createHelpers,
  endGroups,
  type HelperEnd,
  type Helpers,
  type SpareOptions,
} from '../../lib/process/run-helper.ts'
import { MAX_TIMER_MS } from '../../lib/text/duration.ts'
import { describeMaking, type Recipe } from '../../recipes/recipe.ts'
import { type BuildJob, type BuildReport, reportSchema } from './build-job.ts'
import type { BuildCall } from './contract.ts'
import type { BuildOutput } from './store/results.ts'

/** The same file, as source or compiled. */
const PROGRAM = new URL(`./build-helper${extname(import.meta.url)}`, import.meta.url)

/** What is remembered of a run, and what is read of it at one time, takes a fifth. */
const HEAP_MEGABYTES = 32

/** Nix ends its builders when it is asked to, and is ended five seconds later. */
const GRACE_MS = 10_000

/** Beyond its own time limit, a helper gets this long to tell of it. */
const LATE_MS = 30_000

/** Makes things with nix, each in a process of its own. */
export interface BuildHelpers {
  /** Makes a recipe. Throws a ShimError. */
  make(job: BuildJob, call: BuildCall): Promise<BuildOutput>
  /** Runs a package that is a program: the store path of the archive that it wrote. Throws a ShimError. */
  runProgram(job: Required<BuildJob>, call: BuildCall): Promise<string>
}

export function createBuildHelpers(spare: SpareOptions): BuildHelpers {
  const helpers = createHelpers({ file: PROGRAM, heapMegabytes: HEAP_MEGABYTES, graceMs: GRACE_MS }, spare)
  return {
    async make(job, call) {
      const last = await runInHelper(helpers, job, call)
      if (last.kind !== 'done') throw brokenOff(job.recipe, 'it ran a program')
      return last.output
    },
    async runProgram(job, call) {
      const last = await runInHelper(helpers, job, call)
      if (last.kind !== 'archive') throw brokenOff(job.recipe, 'it ran no program')
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
    if (signal.aborted) throw calledOff(job.recipe, signal)
    throw last ? reviveError(last.code, last.message) : explainEnd(job, end, late)
  } catch (error) {
    // It could not be started, or said what makes no sense.
    throw error instanceof ShimError ? error : brokenOff(job.recipe, messageOf(error))
  } finally {
    endGroups(groups)
  }
}

function calledOff(recipe: Recipe, { reason }: AbortSignal): RetryableError {
  const why = reason instanceof RetryableError ? reason.message : 'nobody waited for it any more'
  return new RetryableError('Cancelled', `${describeMaking(recipe)} was called off: ${why}`)
}

/** The helper ended without a word. */
function explainEnd({ recipe, nix }: BuildJob, { exitCode, killedBy }: HelperEnd, late: AbortSignal): ShimError {
  if (!late.aborted) return brokenOff(recipe, killedBy ?? `exit code ${exitCode}`)
  const limit = `${Math.round(nix.timeoutMs / 1000)} s (nix.timeout in the config)`
  return new FinalError('BuildTimedOut', `${describeMaking(recipe)} took longer than ${limit}`)
}

function brokenOff(recipe: Recipe, how: string): RetryableError {
  const message = `${describeMaking(recipe)} broke off: the process that reads what nix says has ended (${how})`
  return new RetryableError('BuildInterrupted', message)
}
