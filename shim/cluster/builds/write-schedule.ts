import { isDeepStrictEqual } from 'node:util'
import type { NodeBuild } from '../../../kube/resources/nixnode.ts'

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
  const before = written?.build
  if (isDeepStrictEqual(build, before)) return undefined
  if (build && before && isDeepStrictEqual(withoutPods(build), withoutPods(before))) return changedAt + PODS_AFTER_MS
  if (!build || !isActive) return changedAt
  // Most builds leave the queue sooner.
  if (!written || !before) return since + (build.state === 'Queued' ? STATE_AFTER_MS : FIRST_AFTER_MS)
  if (build.state !== before.state)
    return Math.max(since, written.at) + (build.state === 'Importing' ? IMPORT_AFTER_MS : STATE_AFTER_MS)
  return written.at + Math.min(PROGRESS_AFTER_MS.first * 2 ** written.times, PROGRESS_AFTER_MS.last)
}

function withoutPods({ pods, ...build }: NodeBuild): object {
  return build
}

/** The latest write after the build has been written. */
export function lastWriteOf(build: NodeBuild | undefined, written: LastWrite | undefined, at: number): LastWrite {
  const times = written === undefined || written.build?.state !== build?.state ? 0 : written.times + 1
  return { build, at, times }
}
