import type { Logger } from 'pino'
import { FinalError, RetryableError, ShimError, toShimError } from '../../lib/errors.ts'
import { MAX_TIMER_MS } from '../../lib/text/duration.ts'
import {
  describeMaking,
  describeRecipe,
  type FlakeRecipe,
  isFlakeRecipe,
  packagesOf,
  type Recipe,
  recipeFields,
  recipeKey,
  type StorePathRecipe,
} from '../../recipes/recipe.ts'
import { STORE_DIR } from '../../recipes/store-path.ts'
import type { BuildCall, BuildOutput } from './contract.ts'
import { evaluateDoubted } from './evaluate/doubted-evaluation.ts'
import { evaluationArgs, type FlakeAddress, fetchAllArgs, readEvaluation } from './evaluate/evaluate.ts'
import { canBeLocked, lockArgs, lockedEvaluationArgs, readLockedUrl } from './evaluate/locked-evaluation.ts'
import { isDiskFull } from './failure/disk-full.ts'
import { explainFailure, type FailedRun, pointToLog } from './failure/failure.ts'
import { checkContent, prefetchArgs } from './flake-content.ts'
import { createJournal, type Journal } from './log/journal.ts'
import { createRunId, openRunLog, type RunLog } from './log/run-log.ts'
import { type NixSettings, nixFlags } from './nix-flags.ts'
import { runNix } from './nix-process.ts'
import { createOutliveOutages } from './outlive-outages.ts'
import { daemonSocket } from './store/daemon-path-info.ts'
import { nameMissing } from './store/missing-paths.ts'
import { fetchArgs, readRealisation, realisationArgs } from './store/realise.ts'
import type { Results, SavedResult } from './store/results.ts'
import type { BuildUser } from './user/build-user.ts'
import type { StateDir } from './user/state-dir.ts'
import { urlForNix } from './user/url-for-nix.ts'

export interface NixOptions extends NixSettings {
  /** A name on PATH or an absolute path. */
  readonly command: string
  /** How long a run waits for a Nix daemon that is away, in milliseconds. */
  readonly daemonWaitMs?: number | undefined
}

/** What a run needs and does not own. */
export interface NixSetup {
  readonly dir: StateDir
  readonly user: BuildUser
  readonly nix: NixOptions & Pick<FlakeAddress, 'leadingDot'>
  readonly results: Results
  readonly logger: Logger
  /** A nix runs as the leader of this process group, or has ended. */
  readonly onGroup?: (group: number, kind: 'began' | 'ended') => void
}

/** Evaluates, as far as there is a flake, and realises a recipe, and remembers the result. Throws a ShimError. */
export function runRecipe(setup: NixSetup, recipe: Recipe, call: BuildCall): Promise<BuildOutput> {
  return withNix(setup, { recipe, what: 'build' }, call, async (run, nix) => {
    const { runId } = run
    const { storePath, package: hints, ...made } = await make(setup, recipe, run, nix)
    const output = { storePath, runId, ...(hints && { package: hints }) }
    await setup.results.save(recipeKey(recipe), { ...made, ...output })
    return output
  })
}

export interface RunName {
  readonly recipe: Recipe
  /** For lines of the shim's log. */
  readonly what: string
}

/** Runs `work` with a nix whose runs together have one log and one time limit. */
export async function withNix<Result extends { readonly storePath: string }>(
  setup: NixSetup,
  { recipe, what }: RunName,
  call: BuildCall,
  work: (run: Run, nix: CallNix) => Promise<Result>,
): Promise<Result> {
  const runId = createRunId(new Date(), call.owners.current())
  const logger = setup.logger.child({ runId, ...recipeFields(recipe) })
  const log = openRunLog(setup.dir.logs, runId, logger)
  const timeLimit = AbortSignal.timeout(Math.min(setup.nix.timeoutMs, MAX_TIMER_MS))
  const signal = AbortSignal.any([call.signal, timeLimit])
  const run = { ...call, signal, runId }
  const onWait = (limitMs: number) => {
    const line = `the Nix daemon is away: it is waited for, ${limitMs / 1000} s at most`
    logger.warn({ limitMs }, 'the Nix daemon is away: it is waited for')
    call.onProgress({ phase: 'log', line })
    void log.write(line)
  }
  const outlive = createOutliveOutages({
    socket: daemonSocket(setup.user.env),
    signal,
    onWait,
    limitMs: setup.nix.daemonWaitMs,
  })
  const once: CallNix = (stage, args, more) => callNix(setup, recipe, { ...run, log, timeLimit, stage, args, ...more })
  const nix: CallNix = (stage, args, more) => outlive(() => once(stage, args, more))
  const evaluate = (flakeUrl: string, args: readonly string[]) =>
    outlive(() =>
      evaluateDoubted({
        evaluate: more => once('evaluating', args, more),
        fetchAll: async () => void (await once('evaluating', fetchAllArgs(flakeUrl))),
        isDiskFull: () => isDiskFull([setup.dir.root, STORE_DIR]),
        signal,
      }),
    )
  logger.info({ image: recipe.image, namespaces: call.owners.current() }, `${what} started`)
  try {
    const result = await work({ ...run, evaluate }, nix)
    logger.info({ storePath: result.storePath }, `${what} done`)
    return result
  } catch (error) {
    const { code, message } = toShimError(error)
    logger.warn({ code }, `${what} failed`)
    await log.write(message)
    throw error
  } finally {
    await log.close()
  }
}

interface Run extends BuildCall {
  readonly runId: string
  /** Runs a nix that evaluates the flake. */
  evaluate(flakeUrl: string, args: readonly string[]): Promise<string>
}

type CallNix = (
  stage: FailedRun['stage'],
  args: readonly string[],
  more?: Pick<FailedRun, 'isDoubted'>,
) => Promise<string>

type Made = Omit<SavedResult, 'runId'>

function make(setup: NixSetup, recipe: Recipe, run: Run, nix: CallNix): Promise<Made> {
  const { runId, onProgress, signal } = run
  if (!isFlakeRecipe(recipe)) {
    onProgress({ phase: 'fetching', doneBytes: 0, expectedBytes: 0 })
    return fetchStorePath(setup, recipe, signal, nix)
  }
  onProgress({ phase: 'evaluating', runId })
  return buildPackage(setup, recipe, run, nix)
}

async function buildPackage(setup: NixSetup, recipe: FlakeRecipe, run: Run, nix: CallNix): Promise<Made> {
  const { signal } = run
  const { results, user } = setup
  const { leadingDot } = setup.nix
  const { flake } = recipe
  if (flake.content) checkContent(recipe, flake.content, await nix('evaluating', prefetchArgs(flake.content)))
  const url = await urlForNix(flake, user, signal)
  const derivation = readEvaluation(recipe, await evaluate(recipe, { url, leadingDot }, run, nix))
  const link = await results.prepareLink(recipeKey(recipe))
  const { output, package: hints } = derivation
  const stdout = await nix('building', realisationArgs(derivation, link))
  const storePath = readRealisation(describeRecipe(recipe), output, stdout)
  return { storePath, output, flake: flake.url, ...packagesOf(recipe), ...(hints && { package: hints }) }
}

/** A nix that knows no leading dot fails, too, for a `legacyPackages` that throws, which is none of the recipe's business. */
async function evaluate(recipe: FlakeRecipe, address: FlakeAddress, run: Run, nix: CallNix): Promise<string> {
  try {
    return await run.evaluate(address.url, evaluationArgs(recipe, address))
  } catch (error) {
    if (!(error instanceof ShimError) || error.code !== 'EvaluationFailed') throw error
    if (address.leadingDot || !canBeLocked(address.url)) throw error
    const lockedUrl = readLockedUrl(address.url, await nix('evaluating', lockArgs(address.url)))
    return await run.evaluate(lockedUrl, lockedEvaluationArgs(recipe, lockedUrl))
  }
}

async function fetchStorePath(
  setup: NixSetup,
  recipe: StorePathRecipe,
  signal: AbortSignal,
  nix: CallNix,
): Promise<Made> {
  const link = await setup.results.prepareLink(recipeKey(recipe))
  await nix('building', fetchArgs(recipe, link)).catch(async error => {
    throw await nameMissing(setup, recipe, error, signal)
  })
  return { storePath: recipe.storePath, output: 'out' }
}

interface NixCall extends Omit<Run, 'evaluate'>, Pick<FailedRun, 'isDoubted'> {
  readonly log: RunLog
  /** Aborted when the run has taken too long. */
  readonly timeLimit: AbortSignal
  readonly stage: FailedRun['stage']
  readonly args: readonly string[]
}

/** Returns what nix wrote to its standard output. */
async function callNix({ nix, user, dir, onGroup }: NixSetup, recipe: Recipe, call: NixCall): Promise<string> {
  const { args, signal, timeLimit, log, stage, runId, onProgress } = call
  const journal = createJournal(log, onProgress)
  const aborted = { timeLimit, runId, journal, stateDir: dir.root, timeoutMs: nix.timeoutMs }
  if (signal.aborted) throw explainAbort(recipe, aborted)
  const { stdout, ...exit } = await runNix({
    command: nix.command,
    args: [...args, ...nixFlags(nix)],
    user: stage === 'evaluating' ? limitMemory(user, nix.maxEvalMemory) : user,
    signal,
    onGroup,
    onLine: journal.read,
  })
  if (exit.exitCode === 0) return stdout
  if (signal.aborted) throw explainAbort(recipe, aborted)
  const { errors, foreign, builderTail } = journal
  const known = { errors, foreign, builderTail, ignored: journal.ignored, isDoubted: call.isDoubted ?? false }
  throw explainFailure({ recipe, runId, stateDir: dir.root, stage, maxEvalMemory: nix.maxEvalMemory, exit, ...known })
}

/** Read by the garbage collector of nix (Boehm's), which has all values of an evaluation. */
function limitMemory(user: BuildUser, bytes: number): BuildUser {
  return { ...user, env: { ...user.env, GC_MAXIMUM_HEAP_SIZE: String(bytes) } }
}

interface Aborted extends Pick<NixCall, 'timeLimit' | 'runId'> {
  readonly journal: Journal
  readonly stateDir: string
  readonly timeoutMs: number
}

function explainAbort(recipe: Recipe, { timeLimit, journal, runId, stateDir, timeoutMs }: Aborted): ShimError {
  const subject = describeMaking(recipe)
  if (!timeLimit.aborted) return new RetryableError('Cancelled', `${subject} was called off`)
  const tail = journal.builderTail()
  const words = tail.length === 0 ? '' : ` The end of the log:\n${tail.join('\n')}\n${pointToLog({ stateDir, runId })}`
  const limit = `${Math.round(timeoutMs / 1000)} s (nix.timeout in the config)`
  return new FinalError('BuildTimedOut', `${subject} took longer than ${limit}.${words}`)
}
