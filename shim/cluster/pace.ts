import type { RunFacts } from './run-status.ts'

/** A run that ends sooner than this is told by its end alone. */
export const FIRST_AFTER_MS = 300
/** A phase is told once it has lasted this long; also the shortest time between two writes of one run's progress. */
export const PHASE_AFTER_MS = 1000
/** Pauses between one progress and the next grow from the first to the last. */
const PROGRESS_AFTER_MS = { first: 2000, last: 30_000 }

/** What was told of a run last. */
export interface Told {
  readonly phase: RunFacts['phase']
  readonly progress: string
  readonly ended: boolean
  readonly at: number
  /** Times that progress alone was told. */
  readonly times: number
}

/** When the run is to be told of next, in milliseconds since 1970; undefined when there is nothing new. */
export function dueAt({ startedAt, phase, phaseSince, progress, ending }: RunFacts, told?: Told): number | undefined {
  if (ending) return told?.ended ? undefined : ending.at
  if (!told) return startedAt + FIRST_AFTER_MS
  if (phase !== told.phase) return Math.max(phaseSince, told.at) + PHASE_AFTER_MS
  if (progress === told.progress) return undefined
  return told.at + Math.min(PROGRESS_AFTER_MS.first * 2 ** told.times, PROGRESS_AFTER_MS.last)
}

/** What has been told once `facts` are. */
export function telling({ phase, progress, ending }: RunFacts, told: Told | undefined, at: number): Told {
  const times = told === undefined || told.phase !== phase ? 0 : told.times + 1
  return { phase, progress, ended: ending !== undefined, at, times }
}
