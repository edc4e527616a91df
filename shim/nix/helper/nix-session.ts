import type { Logger } from 'pino'
import { RetryableError, type ShimError, toShimError } from '../../../lib/errors.ts'
import { MAX_TIMER_MS } from '../../../lib/text/units.ts'
import { describeWork, type Recipe, recipeFields } from '../../../recipes/recipe.ts'
import { explainFailure, type FailedRun, pointToLog } from '../failure/explain-failure.ts'
import type { BuildProgress } from '../log/build-progress.ts'
import { createNixOutput, type NixOutput } from '../log/nix-output.ts'
import { createRunId, openRunLog, type RunLog } from '../log/run-log-file.ts'
import { type NixOptions, nixFlags, type OnGroup, runNix } from '../process/run-nix.ts'
import { daemonSocket } from '../store/daemon-connection.ts'
import type { Results } from '../store/results.ts'
import { createOutageRetry } from '../store/retry-outages.ts'
import type { BuildUser } from '../user/build-user.ts'
import type { StateDir } from '../user/state-dir.ts'
import { buildTimedOut } from './messages.ts'

/** What all runs share. */
export interface NixSetup {
  readonly dir: StateDir
  readonly user: BuildUser
  readonly nix: NixOptions & { readonly leadingDot: boolean }
  readonly results: Results
  readonly logger: Logger
  readonly onGroup?: OnGroup | undefined
}

/** How a run reports and ends. */
export interface NixRunCall {
  /** For the name of the log. */
  readonly namespaces: readonly string[]
  readonly signal: AbortSignal
  readonly onProgress: (progress: BuildProgress) => void
}

/** One run. Its nix commands share a log, a time limit, and a limit for outages of the Nix daemon. */
export interface NixSession extends NixRunCall {
  readonly runId: string
  /** Runs nix, again after an outage of the Nix daemon, and returns its standard output. Throws a ShimError. */
  readonly nix: CallNix
  /** Runs `work`, which may run several commands, again after an outage of the Nix daemon. */
  readonly retryOutages: <Result>(work: (once: CallNix) => Promise<Result>) => Promise<Result>
}

export type CallNix = (step: FailedRun['step'], args: readonly string[], more?: CommandDetails) => Promise<string>

export interface CommandDetails extends Pick<FailedRun, 'isUntrusted' | 'subject'> {
  /** Override all others. */
  readonly options?: readonly string[]
}

export interface RunLabel {
  readonly recipe: Recipe
  /** For the shim's own log. */
  readonly what: string
  /** Continues this run and its log. */
  readonly runId?: string | undefined
}

/** Runs `work` with a session, and closes the session's log. The result is undefined if another node builds. */
export async function withNix<Result extends { readonly storePath: string } | undefined>(
  setup: NixSetup,
  { recipe, what, ...label }: RunLabel,
  call: NixRunCall,
  work: (session: NixSession) => Promise<Result>,
): Promise<Result> {
  const { runId = createRunId(new Date(), call.namespaces) } = label
  const logger = setup.logger.child({ runId, ...recipeFields(recipe) })
  const log = openRunLog(setup.dir.logs, runId, logger)
  logger.info({ image: recipe.image, namespaces: call.namespaces }, `${what} started`)
  try {
    const result = await work(createSession(setup, recipe, call, { runId, log, logger }))
    if (result) logger.info({ storePath: result.storePath }, `${what} done`)
    else logger.info('evaluation done, and this node does not build now')
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

interface Logs {
  readonly runId: string
  readonly log: RunLog
  readonly logger: Logger
}

function createSession(setup: NixSetup, recipe: Recipe, call: NixRunCall, { runId, log, logger }: Logs): NixSession {
  const timeLimit = AbortSignal.timeout(Math.min(setup.nix.timeoutMs, MAX_TIMER_MS))
  const signal = AbortSignal.any([call.signal, timeLimit])
  const { onProgress } = call
  const once: CallNix = (step, args, more) =>
    callNix(setup, recipe, { signal, timeLimit, runId, log, onProgress, step, args, ...more })
  const retryOutages = createOutageRetry({
    socket: daemonSocket(setup.user.env),
    signal,
    limitMs: setup.nix.daemonWaitMs,
    onWait(limitMs) {
      const line = `the Nix daemon is away: waiting for it, ${limitMs / 1000} s at most`
      logger.warn({ limitMs }, 'the Nix daemon is away: waiting for it')
      onProgress({ phase: 'log', line })
      void log.write(line)
    },
  })
  return {
    ...call,
    signal,
    runId,
    nix: (...args) => retryOutages(() => once(...args)),
    retryOutages: work => retryOutages(() => work(once)),
  }
}

interface NixCommand extends Pick<NixRunCall, 'signal' | 'onProgress'>, CommandDetails {
  readonly runId: string
  readonly log: RunLog
  /** Aborted when the run takes too long. */
  readonly timeLimit: AbortSignal
  readonly step: FailedRun['step']
  readonly args: readonly string[]
}

async function callNix({ nix, user, dir, onGroup }: NixSetup, recipe: Recipe, call: NixCommand): Promise<string> {
  const { args, signal, timeLimit, log, step, runId, onProgress } = call
  const output = createNixOutput(log, onProgress)
  const aborted = { timeLimit, runId, output, logs: dir.logs, timeoutMs: nix.timeoutMs }
  if (signal.aborted) throw explainAbort(recipe, aborted)
  const { stdout, ...exit } = await runNix({
    command: nix.command,
    args: [...args, ...nixFlags(nix), ...(call.options ?? [])],
    user: step === 'evaluating' ? limitMemory(user, nix.maxEvalMemory) : user,
    signal,
    onGroup,
    onLine: output.read,
  })
  if (exit.exitCode === 0) return stdout
  if (signal.aborted) throw explainAbort(recipe, aborted)
  const { errors, foreign, builderTail } = output
  const { isUntrusted = false, subject } = call
  const known = { errors, foreign, builderTail, ignored: output.ignored, isUntrusted, subject }
  const { root: stateDir, logs } = dir
  throw explainFailure({ recipe, runId, stateDir, logs, step, maxEvalMemory: nix.maxEvalMemory, exit, ...known })
}

/** The variable is read by nix's garbage collector (Boehm), which holds all values of an evaluation. */
function limitMemory(user: BuildUser, bytes: number): BuildUser {
  return { ...user, env: { ...user.env, GC_MAXIMUM_HEAP_SIZE: String(bytes) } }
}

interface AbortedRun extends Pick<NixCommand, 'timeLimit' | 'runId'> {
  readonly output: NixOutput
  readonly logs: string
  readonly timeoutMs: number
}

function explainAbort(recipe: Recipe, { timeLimit, output, runId, logs, timeoutMs }: AbortedRun): ShimError {
  if (!timeLimit.aborted) return new RetryableError('Cancelled', `${describeWork(recipe)} was cancelled`)
  const tail = output.builderTail()
  const words = tail.length === 0 ? '' : ` The end of the log:\n${tail.join('\n')}\n${pointToLog({ logs, runId })}`
  return buildTimedOut(recipe, timeoutMs, `.${words}`)
}
