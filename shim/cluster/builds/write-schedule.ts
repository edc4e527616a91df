import { isDeepStrictEqual } from 'node:util'
import type { NodeBuild } from '../../../kube/resources/nixnode.ts'
import { LOG_AFTER_MS, withoutLog } from './describe-build.ts'

/** Work shorter than this is not reported until it ends. */
export const FIRST_AFTER_MS = 300
/** A state is written when it has lasted this long. */
const STATE_AFTER_MS = 1000
/** The import of most images takes less. */
const IMPORT_AFTER_MS = 3000
/** Pods that only check an image that is present mostly wait for less than this. */
const PODS_AFTER_MS = 2000
/** Pauses between writes of progress grow from the first to the last. */
const PROGRESS_AFTER_MS = { first: 5000, last: 30_000 }
/** Shortest pause between writes of a log that grows. */
const LOG_PAUSE_MS = 10_000

/** What is to be written of one build. Times are in milliseconds since 1970. */
export interface Pending {
  /** Undefined if there is nothing to report any more. */
  readonly build: NodeBuild | undefined
  /** Whether a run or a request is what the build shows. */
  readonly isActive: boolean
  /** When the state began that `build` shows. */
  readonly since: number
  /** When requests came or went, or a result came. */
  readonly changedAt: number
}

/** The latest write of one build. */
export interface LastWrite {
  readonly build: NodeBuild | undefined
  readonly at: number
  /** Number of writes since the state was written. */
  readonly times: number
}

/** When the next write is due, in milliseconds since 1970; undefined if there is nothing new. */
export function dueAt({ build, isActive, since, changedAt }: Pending, written?: LastWrite): number | undefined {
  const before = isLogTakenBack(build, written?.build) ? withoutLog(written.build) : written?.build
  if (isDeepStrictEqual(build, before)) return undefined
  if (build && before && isDeepStrictEqual(withoutPods(build), withoutPods(before))) return changedAt + PODS_AFTER_MS
  if (!build || !isActive) return changedAt
  // Most builds leave the queue sooner.
  if (!written || !before) return since + (build.state === 'Queued' ? STATE_AFTER_MS : FIRST_AFTER_MS)
  if (build.state !== before.state)
    return Math.max(since, written.at) + (build.state === 'Importing' ? IMPORT_AFTER_MS : STATE_AFTER_MS)
  const progressAt = written.at + Math.min(PROGRESS_AFTER_MS.first * 2 ** written.times, PROGRESS_AFTER_MS.last)
  if (build.logTail === before.logTail) return progressAt
  const logAt = Math.max(Date.parse(build.startTime ?? '') + LOG_AFTER_MS || 0, written.at + LOG_PAUSE_MS)
  return isDeepStrictEqual(withoutLog(build), withoutLog(before)) ? logAt : Math.min(logAt, progressAt)
}

/** The log of an image goes with the next write, and is no reason for one. */
function isLogTakenBack(build: NodeBuild | undefined, before: NodeBuild | undefined): before is NodeBuild {
  return build?.state === 'Present' && build.logTail === undefined && before?.state === 'Present'
}

function withoutPods({ pods, ...build }: NodeBuild): object {
  return build
}

/** The latest write after the build has been written. */
export function lastWriteOf(build: NodeBuild | undefined, written: LastWrite | undefined, at: number): LastWrite {
  const times = written === undefined || written.build?.state !== build?.state ? 0 : written.times + 1
  return { build, at, times }
}
