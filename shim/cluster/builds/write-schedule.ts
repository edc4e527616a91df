import type { ReportedRunState } from './reported-run.ts'

/** For a run shorter than this, only the outcome is written. */
export const FIRST_AFTER_MS = 300
/** A phase is written when it has lasted this long. Also the shortest time between two writes of one run. */
const PHASE_AFTER_MS = 1000
/** Pauses between writes of progress grow from the first to the last. */
const PROGRESS_AFTER_MS = { first: 2000, last: 30_000 }

/** The latest write about a run. */
export interface LastWrite {
  readonly phase: ReportedRunState['phase']
  readonly progress: string
  readonly ended: boolean
  readonly at: number
  /** Number of writes since the phase was written. */
  readonly times: number
}

/** When the next write is due, in milliseconds since 1970; undefined if there is nothing new. */
export function dueAt(
  { startedAt, phase, phaseSince, progress, outcome }: ReportedRunState,
  written?: LastWrite,
): number | undefined {
  if (outcome) return written?.ended ? undefined : outcome.at
  if (!written) return startedAt + FIRST_AFTER_MS
  if (phase !== written.phase) return Math.max(phaseSince, written.at) + PHASE_AFTER_MS
  if (progress === written.progress) return undefined
  return written.at + Math.min(PROGRESS_AFTER_MS.first * 2 ** written.times, PROGRESS_AFTER_MS.last)
}

/** The latest write after the state has been written. */
export function lastWriteOf(
  { phase, progress, outcome }: ReportedRunState,
  written: LastWrite | undefined,
  at: number,
): LastWrite {
  const times = written === undefined || written.phase !== phase ? 0 : written.times + 1
  return { phase, progress, ended: outcome !== undefined, at, times }
}
