import { NIXBUILD_LIMITS } from '../../../kube/resources/nixbuild.ts'
import type { ShimError } from '../../../lib/errors.ts'
import { copyStart } from '../../../lib/text/text.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import type { PullOutcome, RunReport } from '../../pull/contract.ts'
import type { PullProgress } from '../../pull/progress.ts'
import { toWire } from '../../pull/progress.ts'
import { describeProgress } from '../../wire/progress.ts'
import { failed, type RunOutcome } from './run-outcome.ts'

/** The current state of a run. Times are in milliseconds since 1970. */
export interface RunFacts {
  /** Set if the recipe's flake is locked. */
  readonly lockedFlakeUrl?: string | undefined
  readonly startedAt: number
  readonly phase: 'Building' | 'Importing'
  readonly phaseSince: number
  /** Shown to people. */
  readonly progress: string
  /** Missing before nix has started, and for a run that does not need nix. */
  readonly runId?: string | undefined
  readonly storePath?: string | undefined
  /** Missing while the run continues. */
  readonly outcome?: RunOutcome | undefined
}

/** One run of a recipe, shared by all namespaces that wait for it. */
export interface Run extends RunReport {
  facts(): RunFacts
  /** The facts at the end of the run. */
  readonly ended: Promise<RunFacts>
  /** `listener` is called often and must be fast. Returns a function that removes it. */
  onChange(listener: () => void): () => void
}

export interface RunOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Bytes, as reported by CRI; undefined if the answer takes too long. Never throws. */
  readonly imageSize: (image: string) => Promise<number | undefined>
}

/** The end of a run's log that is kept: so many lines, and so many characters of each. */
const MAX_LINES = 20
const MAX_LINE_LENGTH = 200

export function createRun(recipe: FlakeRecipe, { now, imageSize }: RunOptions): Run {
  const startedAt = now()
  const lines: string[] = []
  const listeners = new Set<() => void>()
  const { promise: ended, resolve } = Promise.withResolvers<RunFacts>()
  let latest: PullProgress | undefined
  let state: Omit<RunFacts, 'progress'> = {
    ...(recipe.flake.locked && { lockedFlakeUrl: recipe.flake.url }),
    startedAt,
    phase: 'Building',
    phaseSince: startedAt,
  }

  const facts = (): RunFacts => ({ ...state, progress: latest ? describe(latest) : 'starting' })
  const update = (change: Partial<typeof state>) => {
    state = { ...state, ...change }
    for (const listener of listeners) listener()
  }
  const end = (outcome: RunOutcome, known: Partial<typeof state> = {}) => {
    update({ ...known, outcome })
    resolve(facts())
  }
  return {
    facts,
    ended,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    progress(event) {
      if (event.phase === 'log') return void pushLine(lines, event.line)
      latest = event
      const phase = phaseOf(event)
      update({
        ...(phase !== state.phase && { phase, phaseSince: now() }),
        ...(event.phase === 'evaluating' && { runId: event.runId }),
        ...(event.phase === 'built' && { storePath: event.storePath }),
      })
    },
    async done({ imageId, storePath, runId, present }: PullOutcome) {
      const at = now()
      const outcome: RunOutcome = { kind: 'Succeeded', at, imageId, present, imageSize: await imageSize(recipe.image) }
      end(outcome, { storePath: storePath ?? state.storePath, runId: runId ?? state.runId })
    },
    failed: (error: ShimError) => end(failed(error, { at: now(), lines })),
  }
}

/** A request that failed before any run. */
export function refusal(error: ShimError, at: number): RunFacts {
  return { startedAt: at, phase: 'Building', phaseSince: at, progress: '', outcome: failed(error, { at }) }
}

/** A run that was interrupted, for example by a restart. */
export function interruption(message: string, at: number): RunFacts {
  return { startedAt: at, phase: 'Building', phaseSince: at, progress: '', outcome: { kind: 'Cancelled', at, message } }
}

function describe(progress: PullProgress): string {
  return describeProgress({ done: 0, expected: 0, text: '', phase: '', ...toWire(progress) }).slice(
    0,
    NIXBUILD_LIMITS.progress,
  )
}

function phaseOf({ phase }: PullProgress): RunFacts['phase'] {
  return phase === 'importing' || phase === 'unpacking' ? 'Importing' : 'Building'
}

function pushLine(lines: string[], line: string): void {
  lines.push(copyStart(line, MAX_LINE_LENGTH))
  if (lines.length > MAX_LINES) lines.shift()
}
