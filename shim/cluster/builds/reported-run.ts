import { NIXNODE_LIMITS } from '../../../kube/resources/nixnode.ts'
import type { ErrorCode, ShimError } from '../../../lib/errors.ts'
import { cutLines } from '../../../lib/text/cut.ts'
import { isFlakeRecipe, type Recipe } from '../../../recipes/recipe.ts'
import type { PullOutcome, RunReport } from '../../pull/contract.ts'
import { describePull, type PullProgress } from '../../pull/progress.ts'
import { createLogTail } from './log-tail.ts'

/** The current state of a run. Times are in milliseconds since 1970. */
export interface ReportedRunState {
  /**
   * URL of the content that is being built or was built. A failed run of an unlocked flake has none, as the next run may
   * build other content.
   */
  readonly lockedFlakeUrl?: string | undefined
  readonly startedAt: number
  readonly phase: 'Queued' | 'Building' | 'Importing'
  readonly phaseSince: number
  /** Whether something is built or imported, so that the run does not only check an image that is present. */
  readonly isWorking: boolean
  /** Shown to people. */
  readonly progress: string
  /** Missing before nix has started, and for a run that does not need nix. */
  readonly runId?: string | undefined
  readonly storePath?: string | undefined
  /** The last lines of builders; missing if they have written nothing. */
  readonly logTail?: string | undefined
  /** Missing while the run continues. */
  readonly outcome?: RunOutcome | undefined
}

/** One run of a recipe, shared by all namespaces that wait for it. */
export interface ReportedRun extends RunReport {
  state(): ReportedRunState
  /** Resolves with the state at the end of the run. */
  readonly ended: Promise<ReportedRunState>
  /** Calls the listener after each change, which is often, until the returned function is called. */
  onChange(listener: () => void): () => void
}

export interface ReportedRunOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Bytes, as reported by CRI; undefined if the answer takes too long. Never throws. */
  readonly imageSize: (image: string) => Promise<number | undefined>
}

export type RunOutcome = Success | Failure | CancelledRun

interface At {
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface Success extends At {
  readonly kind: 'Succeeded'
  /** Config digest. */
  readonly imageId: string
  /** Bytes, as reported by CRI. */
  readonly imageSize?: number | undefined
  /** The image existed: nothing was built or imported. */
  readonly present: boolean
}

export interface Failure extends At {
  readonly kind: 'Failed'
  readonly message: string
  readonly logTail: string
  /** The same recipe will fail again. */
  readonly final: boolean
}

/** Not the recipe's fault: the next request builds it again. */
interface CancelledRun extends At {
  readonly kind: 'Cancelled'
  readonly message: string
}

interface FailedAt {
  readonly at: number
  readonly logTail?: string
}

/** A builder may write tens of thousands of lines a second, and nothing is written that often. */
const LOG_NEWS_MS = 1000
/** In characters. */
const MAX_MESSAGE = 4096

const CANCELLED: readonly ErrorCode[] = ['Cancelled', 'ShuttingDown']

export function createReportedRun(recipe: Recipe, { now, imageSize }: ReportedRunOptions): ReportedRun {
  const startedAt = now()
  const log = createLogTail()
  const listeners = new Set<() => void>()
  const { promise: ended, resolve } = Promise.withResolvers<ReportedRunState>()
  const ownLock = isFlakeRecipe(recipe) && recipe.flake.locked ? recipe.flake.url : undefined
  let latest: PullProgress | undefined
  let known: Omit<ReportedRunState, 'progress' | 'logTail'> = {
    lockedFlakeUrl: ownLock,
    startedAt,
    phase: 'Queued',
    phaseSince: startedAt,
    isWorking: false,
  }

  const state = (): ReportedRunState => {
    const logTail = log.text()
    return { ...known, ...(logTail && { logTail }), progress: latest ? describe(latest) : 'starting' }
  }
  let logTimer: NodeJS.Timeout | undefined
  const notify = () => {
    clearTimeout(logTimer)
    logTimer = undefined
    for (const listener of listeners) listener()
  }
  const update = (change: Partial<typeof known>) => {
    known = { ...known, ...change }
    notify()
  }
  const end = (outcome: RunOutcome, change: Partial<typeof known> = {}) => {
    update({ ...change, outcome })
    resolve(state())
  }
  return {
    state,
    ended,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    progress(event) {
      if (event.phase === 'log') {
        log.push(event.line)
        logTimer ??= setTimeout(notify, LOG_NEWS_MS).unref()
        return
      }
      latest = event
      const phase = phaseOf(event)
      update({
        ...(phase !== known.phase && { phase, phaseSince: now() }),
        isWorking: known.isWorking || WORK.includes(event.phase),
        ...(event.phase === 'evaluating' && {
          runId: event.runId,
          lockedFlakeUrl: event.lockedFlakeUrl ?? known.lockedFlakeUrl,
        }),
        ...(event.phase === 'built' && { storePath: event.storePath }),
      })
    },
    async done({ imageId, storePath, lockedFlakeUrl, runId, present }: PullOutcome) {
      const at = now()
      const outcome: RunOutcome = { kind: 'Succeeded', at, imageId, present, imageSize: await imageSize(recipe.image) }
      end(outcome, {
        storePath: storePath ?? known.storePath,
        lockedFlakeUrl: lockedFlakeUrl ?? known.lockedFlakeUrl,
        runId: runId ?? known.runId,
      })
    },
    failed: (error: ShimError) => end(failed(error, { at: now(), logTail: log.text() }), { lockedFlakeUrl: ownLock }),
  }
}

/** A request that failed before any run. */
export function refusal(error: ShimError, at: number): ReportedRunState {
  const outcome = failed(error, { at })
  return { startedAt: at, phase: 'Queued', phaseSince: at, isWorking: false, progress: '', outcome }
}

function failed(error: ShimError, { at, logTail = '' }: FailedAt): Failure | CancelledRun {
  const message = cutLines(error.message, MAX_MESSAGE)
  if (isCancelled(error)) return { kind: 'Cancelled', at, message }
  return { kind: 'Failed', at, message, logTail, final: !error.retryable }
}

export function isCancelled({ code }: ShimError): boolean {
  return CANCELLED.includes(code)
}

function describe(progress: PullProgress): string {
  return describeBriefly(progress).slice(0, NIXNODE_LIMITS.progress)
}

/** Without the numbers of what another node does: each one would be a write of each node that waits. */
function describeBriefly(progress: PullProgress): string {
  if (progress.phase === 'waiting') return `waiting for ${progress.node}`
  return progress.phase === 'copying' ? `copying from ${progress.from}` : describePull(progress)
}

const WORK: readonly PullProgress['phase'][] = ['building', 'waiting', 'copying', 'importing', 'unpacking']
const QUEUED: readonly PullProgress['phase'][] = ['queued', 'waiting']
const IMPORTING: readonly PullProgress['phase'][] = ['copying', 'importing', 'unpacking']

function phaseOf({ phase }: PullProgress): ReportedRunState['phase'] {
  if (QUEUED.includes(phase)) return 'Queued'
  return IMPORTING.includes(phase) ? 'Importing' : 'Building'
}
