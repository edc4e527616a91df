import * as v from 'valibot'
import { orCancelled } from '../../../lib/async/bounded-wait.ts'
import { toShimError } from '../../../lib/errors.ts'
import { createLogger } from '../../../lib/logger.ts'
import { type HelperCall, serveAsHelper } from '../../../lib/process/serve-helper.ts'
import { createProgressBatches } from '../log/build-progress.ts'
import { createResults } from '../store/results.ts'
import { buildRecipe } from './build-recipe.ts'
import { copyRecipe } from './copy-recipe.ts'
import { answerSchema, type BuildJob, type BuildReport, jobSchema } from './messages.ts'
import { pushPath } from './push-path.ts'
import { runProgram } from './run-program.ts'
import type { SharedBuild } from './shared-path.ts'

/** Created before the order comes, because that takes a while. */
const logger = createLogger('info')

/** No file can exist below it. */
const NOWHERE = '/dev/null'

/** A job that leaves nothing behind: its nix is `true`, and it fails because that gives no answer. */
const WARM_UP_JOB: BuildJob = {
  recipe: {
    image: 'warm-up',
    flake: { url: 'path:/dev/null', scheme: 'path', source: 'path:/dev/null', local: false, locked: false },
    packageName: 'warm-up',
    system: 'warm-up',
  },
  namespaces: ['warm-up'],
  dir: {
    root: NOWHERE,
    gcroots: NOWHERE,
    home: NOWHERE,
    config: NOWHERE,
    caches: NOWHERE,
    logs: NOWHERE,
    results: NOWHERE,
  },
  user: { home: '/', env: { PATH: '/run/current-system/sw/bin:/usr/bin:/bin' } },
  nix: { command: 'true', timeoutMs: 60_000, maxEvalMemory: 0, options: {}, leadingDot: true },
  logLevel: 'silent',
}

const answer = createAnswer()

/** This process builds one recipe, or copies a store path. It reads the output of builders, evaluations and servers, so that the daemon does not. */
await serveAsHelper(work, {
  onMessage: answer.take,
  warmUp: () => work(WARM_UP_JOB, { signal: new AbortController().signal, report: () => {} }),
})

async function work(order: unknown, { signal, report }: HelperCall): Promise<void> {
  const tell = (message: BuildReport) => report(message)
  const batches = createProgressBatches(progress => tell({ kind: 'progress', progress: [...progress] }))
  const job = v.parse(jobSchema, order)
  const { recipe, program, namespaces, dir, user, nix } = job
  const call = { namespaces, signal, onProgress: batches.push }
  // The level of the job alone: another job may run before that of the warm-up has ended.
  const jobLogger = logger.child({ stage: 'build' }, { level: job.logLevel })
  const onGroup = (group: number, kind: 'began' | 'ended') => tell({ kind, group })
  const setup = { dir, user, nix, results: createResults(dir), logger: jobLogger, onGroup }
  const claim: SharedBuild['claim'] = (evaluated, signal) => {
    tell({ kind: 'evaluated', evaluated })
    return orCancelled(answer.promise, signal)
  }
  const make = async (): Promise<BuildReport> => {
    const { evaluated, copy, push, isShared, fetchOnly = false } = job
    if (program) return { kind: 'archive', storePath: await runProgram(setup, program, { ...call, recipe, fetchOnly }) }
    if (push) {
      await pushPath(setup, push, signal)
      return { kind: 'pushed' }
    }
    if (copy && evaluated) return { kind: 'done', result: await copyRecipe(setup, { recipe, evaluated, copy }, call) }
    const result = await buildRecipe(setup, { ...job, ...(isShared && { sharing: { fetchOnly, claim } }) }, call)
    return result ? { kind: 'done', result } : { kind: 'left' }
  }
  const last = await make().catch(asFailure)
  batches.flush()
  tell(last)
}

/** The daemon's answer to the question of this job. */
function createAnswer() {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  return { promise, take: (message: unknown) => resolve(v.parse(answerSchema, message).claimed) }
}

function asFailure(error: unknown): BuildReport {
  const { code, message } = toShimError(error)
  return { kind: 'failed', code, message }
}
