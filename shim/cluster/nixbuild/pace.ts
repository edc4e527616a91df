import type { RunFacts } from './run-status.ts'

/** A run that ends sooner than this is told by its end alone. */
export const FIRST_AFTER_MS = 300
/** A phase is told once it has lasted this long; also the shortest time between two writes of one run's progress. */
export const PHASE_AFTER_MS = 1000
/** Pauses between one progress and the next grow from the first to the last. */
const PROGRESS_AFTER_MS = { first: 2000, last: 30_000 }

/** What was told of a run last. */
export interface Written {
  readonly phase: RunFacts['phase']
  readonly progress: string
  readonly ended: boolean
  readonly at: number
  /** Times that progress alone was told. */
  readonly times: number
}

/** When the run is to be told of next, in milliseconds since 1970; undefined when there is nothing new. */
export function dueAt(
  { startedAt, phase, phaseSince, progress, ending }: RunFacts,
  written?: Written,
): number | undefined {
  if (ending) return written?.ended ? undefined : ending.at
  if (!written) return startedAt + FIRST_AFTER_MS
  if (phase !== written.phase) return Math.max(phaseSince, written.at) + PHASE_AFTER_MS
  if (progress === written.progress) return undefined
  return written.at + Math.min(PROGRESS_AFTER_MS.first * 2 ** written.times, PROGRESS_AFTER_MS.last)
}

/** What has been told once `facts` are. */
export function writtenNow({ phase, progress, ending }: RunFacts, written: Written | undefined, at: number): Written {
  const times = written === undefined || written.phase !== phase ? 0 : written.times + 1
  return { phase, progress, ended: ending !== undefined, at, times }
}
