import { NIXNODE_LIMITS, type NodeBuild } from '../../../kube/resources/nixnode.ts'
import type { Attempt, ImageRequest } from '../../pull/contract.ts'
import {
  type BuildSubject,
  concludedBuild,
  LOG_AFTER_MS,
  runningBuild,
  waitingBuild,
  withoutLog,
} from './describe-build.ts'
import type { ReportedRun, ReportedRunState } from './reported-run.ts'
import { dueAt, type LastWrite, lastWriteOf } from './write-schedule.ts'

/** One recipe in one namespace: the requests that wait for it, their run, and the latest result. */
export interface TrackedBuild {
  /** The latest result. */
  readonly result: NodeBuild | undefined
  /** Whether it is more than a result. */
  readonly isActive: boolean
  /** Whether there is nothing to report, and nothing was. */
  readonly isIdle: boolean
  /** When requests came or went, or a result came, in milliseconds since 1970. */
  readonly changedAt: number
  join(request: ImageRequest): void
  leave(request: ImageRequest): void
  /** The pod of the request is expected to ask again, until the returned function is called. */
  expect(request: ImageRequest): () => void
  /** It has no further attempt. */
  withdraw(): void
  /** Shows this run until it ends, and then its result. */
  follow(run: ReportedRun): void
  /** Shows the result of a run that it did not follow, or of a request that had none. */
  conclude(state: ReportedRunState): void
  /** Undefined forgets the latest result. */
  setResult(result: NodeBuild | undefined): void
  /** Undefined if there is nothing to report. */
  describe(): NodeBuild | undefined
  /** When the next write is due, in milliseconds since 1970; undefined if there is nothing new. */
  dueAt(): number | undefined
  written(build: NodeBuild | undefined, at: number): void
  /** Forgets the log of an image. */
  dropLog(): void
}

export interface TrackedBuildOptions {
  readonly namespace: string
  /** The recipe's key. */
  readonly key: string
  readonly node: string
  readonly now: () => number
  /** Called after each change, which is often. */
  readonly onChange: () => void
}

export function createTrackedBuild({ namespace, key, node, now, onChange }: TrackedBuildOptions): TrackedBuild {
  const requests = new Set<ImageRequest>()
  /** Those that have ended, whose pods are expected to ask again. */
  const expected = new Set<ImageRequest>()
  let subject: BuildSubject = { namespace, key }
  let attempt: Attempt | undefined
  let run: ReportedRun | undefined
  let result: NodeBuild | undefined
  let written: LastWrite | undefined
  /** When the log of the image that is the result was first written. */
  let logToldAt: number | undefined
  let changedAt = now()
  let waitingSince = changedAt
  /** Whether the recipe has been written. */
  let isTold = false

  function changed(): void {
    changedAt = now()
    onChange()
  }

  function describe(): NodeBuild | undefined {
    const build = describeWhole()
    const isYoung = build?.startTime !== undefined && now() - Date.parse(build.startTime) < LOG_AFTER_MS
    return run && isYoung ? withoutLog(build) : build
  }

  /** With the log of a run that has just begun. */
  function describeWhole(): NodeBuild | undefined {
    if (logToldAt !== undefined && now() - logToldAt > LOG_KEPT_MS) dropLog()
    const build = describeWork() ?? result
    return build && { ...build, pods: podsOf(run ? [...requests, ...expected] : requests) }
  }

  function dropLog(): void {
    if (result?.state === 'Present') result = withoutLog(result)
    logToldAt = undefined
  }

  function describeWork(): NodeBuild | undefined {
    if (run) return isCheck(run) ? undefined : runningBuild(subject, run.state())
    return requests.size > 0 && !result ? waitingBuild(subject, waitingSince) : undefined
  }

  /** A run that builds nothing checks whether the image that is present is the right one. */
  function isCheck(run: ReportedRun): boolean {
    return result?.state === 'Present' && !run.state().isWorking
  }

  function conclude(state: ReportedRunState): void {
    const before = result
    result = concludedBuild({ subject, run: state, before, isTold, attempt, node })
    if (result?.logTail !== before?.logTail) logToldAt = undefined
    changed()
  }

  return {
    get result() {
      return result
    },
    get isActive() {
      return run !== undefined || requests.size > 0 || result?.state === 'Queued'
    },
    get isIdle() {
      return !run && requests.size === 0 && !result && !written?.build
    },
    get changedAt() {
      return changedAt
    },
    join(request) {
      if (requests.size === 0) waitingSince = now()
      requests.add(request)
      subject = { ...subject, recipe: request.recipe, nixBuild: request.nixBuild ?? subject.nixBuild }
      attempt = request.attempt ?? attempt
      changed()
    },
    leave(request) {
      requests.delete(request)
      // A build with another attempt to come keeps it until it is withdrawn.
      if (request.attempt === attempt && result?.state !== 'Queued') attempt = undefined
      changed()
    },
    expect(request) {
      expected.add(request)
      changed()
      return () => {
        expected.delete(request)
        changed()
      }
    },
    withdraw() {
      attempt = undefined
      if (result?.state !== 'Queued') return
      result = undefined
      changed()
    },
    follow(next) {
      if (run === next) return
      run = next
      const unfollow = next.onChange(onChange)
      next.ended.then(state => {
        unfollow()
        if (run !== next) return
        run = undefined
        conclude(state)
      })
      onChange()
    },
    conclude(state) {
      if (!run) conclude(state)
    },
    setResult(next) {
      result = next
      // An earlier shim has told it.
      if (next && !next.recipe) isTold = true
      subject = { ...subject, nixBuild: subject.nixBuild ?? next?.nixBuild }
      changed()
    },
    describe,
    dueAt() {
      const isActive = describeWork() !== undefined
      const since = run?.state().phaseSince ?? waitingSince
      return dueAt({ build: describeWhole(), isActive, since, changedAt }, written)
    },
    written(build, at) {
      written = lastWriteOf(build, written, at)
      const isLogTold = build?.state === 'Present' && build.logTail !== undefined && build.logTail === result?.logTail
      logToldAt = isLogTold ? (logToldAt ?? at) : undefined
      if (build?.recipe && build.state !== 'Present') isTold = true
    },
    dropLog,
  }
}

/**
 * After its first write. The controller has the log of an image by then. The logs of all images of a node would take the room of its NixNode.
 * What is kept is taken back with the next write.
 */
const LOG_KEPT_MS = 60_000

function podsOf(requests: Iterable<ImageRequest>): NodeBuild['pods'] {
  const pods = new Map<string, NodeBuild['pods'][number]>()
  for (const { pod } of requests) {
    if (pods.size === NIXNODE_LIMITS.pods) break
    if (pod && isPodName(pod)) pods.set(pod.uid, { name: pod.name, uid: pod.uid })
  }
  return [...pods.values()]
}

/** The kubelet's are. Other callers choose any. */
function isPodName({ name, uid }: NodeBuild['pods'][number]): boolean {
  return name.length <= MAX_NAME && uid.length <= MAX_UID
}

/** Limits of the API server, in characters. */
const MAX_NAME = 253
const MAX_UID = 128
