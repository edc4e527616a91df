import * as v from 'valibot'
import type { Kind, Kube } from '../../kube/client/contract.ts'
import { events } from '../../kube/resources/event.ts'
import { follow } from '../fixtures/follow.ts'
import type { Restart } from './faults.ts'
import type { Wait } from './late.ts'

/** A call of the kubelet for a pod that failed. */
export interface Failure {
  readonly pod: string
  readonly message: string
  /** In milliseconds since 1970, in whole seconds. */
  readonly from: number
  readonly to: number
}

const eventSchema = v.object({
  involvedObject: v.object({ kind: v.string(), name: v.string() }),
  type: v.nullish(v.string()),
  message: v.nullish(v.string(), ''),
  firstTimestamp: v.nullish(v.string()),
  lastTimestamp: v.nullish(v.string()),
  source: v.nullish(v.object({ component: v.nullish(v.string()) })),
})

const eventsOfKubelet: Kind<v.InferOutput<typeof eventSchema>> = {
  ...events,
  parse: object => v.parse(eventSchema, object),
}

export interface FollowedFailures extends AsyncDisposable {
  readonly seen: Iterable<Failure>
}

/** From the start on: the API server keeps Events for an hour. */
export function followFailures(kube: Kube, namespace: string): FollowedFailures {
  const failures = new Map<string, Failure>()
  const mirror = follow(kube, {
    kind: eventsOfKubelet,
    selection: { namespace },
    project: ({ involvedObject, type, message, firstTimestamp, lastTimestamp, source }) => {
      if (involvedObject.kind !== 'Pod' || type !== 'Warning' || source?.component !== 'kubelet') return true
      const [from, to] = [firstTimestamp, lastTimestamp].map(time => Date.parse(time ?? ''))
      const pod = involvedObject.name
      failures.set(`${pod} ${message}`, { pod, message: message ?? '', from: from ?? NaN, to: to ?? NaN })
      return true
    },
  })
  return {
    seen: { [Symbol.iterator]: () => failures.values() },
    [Symbol.asyncDispose]: () => mirror[Symbol.asyncDispose](),
  }
}

const PULL_FAILED = /^Failed to pull image /
/** Events have whole seconds. */
const SECOND_MS = 1000

/** The failed pulls of these pods, except those that a restart of the shim has interrupted. */
export function failedPulls(
  failures: Iterable<Failure>,
  waits: readonly Pick<Wait, 'pod'>[],
  restarts: readonly Restart[],
): Failure[] {
  const ofShim = restarts.filter(({ daemon }) => daemon === 'shim')
  const pods = new Set(waits.map(({ pod }) => pod))
  return [...failures].filter(({ pod, message, from, to }) => {
    const isInterrupted = ofShim.some(each => from >= each.from - SECOND_MS && to <= each.to + SECOND_MS)
    return pods.has(pod) && PULL_FAILED.test(message) && !isInterrupted
  })
}

/** Names of the pods for which a call failed while containerd was away, other than a pull, which waits for it. */
export function retriedPods(failures: Iterable<Failure>, restarts: readonly Restart[]): ReadonlySet<string> {
  const ofContainerd = restarts.filter(({ daemon }) => daemon === 'containerd')
  const during = ({ from, to }: Failure) => ofContainerd.some(each => from < each.to && to + SECOND_MS > each.from)
  const others = [...failures].filter(failure => !PULL_FAILED.test(failure.message) && during(failure))
  return new Set(others.map(({ pod }) => pod))
}
