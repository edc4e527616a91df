import * as v from 'valibot'
import { messageOf, RetryableError, reviveError } from '../../lib/errors.ts'
import {
  createHelperPool,
  HelperFailed,
  type HelperPool,
  type Send,
  type SpareOptions,
} from '../../lib/process/helper-pool.ts'
import { signalGroup } from '../../lib/process/run-process.ts'
import { MAX_TIMER_MS } from '../../lib/text/units.ts'
import { describeWork, type Recipe } from '../../recipes/recipe.ts'
import type { BuildCall } from './contract.ts'
import {
  BUILD_HELPER,
  type BuildAnswer,
  type BuildJob,
  type BuildReport,
  buildTimedOut,
  type Evaluated,
  reportSchema,
} from './helper/messages.ts'
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

/** Runs each build, and each copy, in a process of its own. All methods throw a ShimError. */
export interface BuildHelpers {
  /** Builds a recipe, or copies it. */
  make(job: BuildJob, call: BuildCall): Promise<BuildResult>
  /** Evaluates a recipe, and asks `claim` whether to build it: if not, returns what is known. */
  makeShared(job: BuildJob, call: BuildCall, claim: AskClaim): Promise<SharedResult>
  /** Runs a package that is a program, and returns the store path of the archive that it wrote. */
  runProgram(job: BuildJob & Required<Pick<BuildJob, 'program'>>, call: BuildCall): Promise<string>
  /** Copies a store path to another store. */
  push(job: BuildJob & Required<Pick<BuildJob, 'push'>>, signal: AbortSignal): Promise<void>
}

/** Calls `use` with a job for the recipe, whose user and caches are prepared until it ends. */
export type WithJob = <Result>(
  recipe: Recipe,
  call: BuildCall,
  use: (job: BuildJob) => Promise<Result>,
) => Promise<Result>

/** Must not reject. */
export type AskClaim = (evaluated: Evaluated) => Promise<boolean>

export type SharedResult =
  | { readonly kind: 'done'; readonly result: BuildResult }
  | { readonly kind: 'left'; readonly evaluated: Evaluated; readonly result?: undefined }

export function createBuildHelpers({ compileCache, ...spare }: BuildHelperOptions): BuildHelpers {
  const nodeFlags = [`--max-old-space-size=${HEAP_MEGABYTES}`, '--max-semi-space-size=1', '--v8-pool-size=1']
  const program = { file: BUILD_HELPER, nodeFlags, arenas: 1, graceMs: GRACE_MS, isReused: false, compileCache }
  const pool = createHelperPool(program, spare)
  return {
    async make(job, call) {
      const last = await runInHelper(pool, job, call)
      if (last.kind !== 'done') throw interrupted(job.recipe, 'built nothing')
      return last.result
    },
    async makeShared(job, call, claim) {
      let asked: { readonly evaluated: Evaluated; isOurs?: boolean } | undefined
      const last = await runInHelper(pool, { ...job, isShared: true }, call, async evaluated => {
        if (asked !== undefined) return false
        asked = { evaluated }
        asked.isOurs = await claim(evaluated)
        return asked.isOurs
      })
      if (last.kind === 'done') return last
      if (last.kind !== 'left' || asked === undefined || asked.isOurs) throw interrupted(job.recipe, 'built nothing')
      return { kind: 'left', evaluated: asked.evaluated }
    },
    async runProgram(job, call) {
      const last = await runInHelper(pool, job, call)
      if (last.kind !== 'archive') throw interrupted(job.recipe, 'ran no program')
      return last.storePath
    },
    async push(job, signal) {
      const last = await runInHelper(pool, job, { signal, onProgress: () => {} })
      if (last.kind !== 'pushed') throw interrupted(job.recipe, 'pushed nothing')
    },
  }
}

type Last = Extract<BuildReport, { kind: 'done' | 'left' | 'archive' | 'pushed' }>

async function runInHelper(
  pool: HelperPool,
  job: BuildJob,
  { signal, onProgress }: Pick<BuildCall, 'signal' | 'onProgress'>,
  claim: AskClaim = async () => true,
): Promise<Last> {
  const groups = new Set<number>()
  const { timeoutMs } = job.copy ?? job.push ?? job.nix
  const late = AbortSignal.timeout(Math.min(timeoutMs + LATE_MS, MAX_TIMER_MS))
  const answer = async (evaluated: Evaluated, send: Send) => {
    const message: BuildAnswer = { kind: 'claimed', claimed: await claim(evaluated) }
    await send(message)
  }
  const onReport = (report: BuildReport, send: Send) => {
    switch (report.kind) {
      case 'failed':
        throw reviveError(report.code, report.message)
      case 'progress':
        report.progress.forEach(onProgress)
        return undefined
      case 'began':
        groups.add(report.group)
        return undefined
      case 'ended':
        groups.delete(report.group)
        return undefined
      case 'evaluated':
        void answer(report.evaluated, send)
        return undefined
      default:
        return report
    }
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
