import * as v from 'valibot'
import type { Kind, Kube } from '../../kube/client/contract.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { pods } from '../../kube/resources/pod.ts'
import { type Followed, follow } from '../fixtures/follow.ts'
import type { Build } from './late.ts'

const podSchema = v.object({
  metadata: metadataSchema,
  status: v.object({
    phase: v.optional(v.string(), ''),
    reason: v.optional(v.string(), ''),
    message: v.optional(v.string(), ''),
    containerStatuses: v.optional(
      v.array(
        v.object({
          imageID: v.string(),
          restartCount: v.number(),
          state: v.object({ running: v.optional(v.object({ startedAt: v.string() })) }),
        }),
      ),
      [],
    ),
  }),
})

const podsWithTimes: Kind<v.InferOutput<typeof podSchema>> = { ...pods, parse: object => v.parse(podSchema, object) }

export interface SeenPod {
  readonly phase: string
  readonly reason: string
  readonly createdAt: number
  /** Undefined before it runs. */
  readonly runningAt: number | undefined
  readonly restarts: number
  /** As the kubelet names it. */
  readonly imageId: string
}

/** By namespace and name. */
export function followPods(kube: Kube, namespace: string): Followed<SeenPod> {
  return follow(kube, {
    kind: podsWithTimes,
    selection: { namespace },
    project: ({ metadata, status: { phase, reason, message, containerStatuses } }): SeenPod => {
      const [container] = containerStatuses
      const startedAt = container?.state.running?.startedAt
      return {
        phase,
        reason: `${reason} ${message}`,
        createdAt: Date.parse(metadata.creationTimestamp),
        runningAt: startedAt === undefined ? undefined : Date.parse(startedAt),
        restarts: container?.restartCount ?? 0,
        imageId: container?.imageID ?? '',
      }
    },
  })
}

export interface FollowedBuilds extends AsyncDisposable {
  /** Every build that has ended so far. An object may have several, one after the other. */
  readonly ended: Iterable<Build>
  /** Flake URLs of builds that have failed. */
  readonly failed: ReadonlySet<string>
}

export function followBuilds(kube: Kube, namespace: string): FollowedBuilds {
  const ended = new Map<string, Build>()
  const failed = new Set<string>()
  const mirror = follow(kube, {
    kind: nixBuilds,
    selection: { namespace },
    project: ({ spec, status: { status, startTime, completionTime, imageDigest = '' } }) => {
      if (status === 'Failed') failed.add(spec.flakeUrl)
      if (startTime === undefined || completionTime === undefined) return true
      const times = { startedAt: Date.parse(startTime), completedAt: Date.parse(completionTime) }
      ended.set(`${spec.flakeUrl} ${startTime}`, { recipe: spec.flakeUrl, imageDigest, ...times })
      return true
    },
  })
  return {
    ended: { [Symbol.iterator]: () => ended.values() },
    failed,
    [Symbol.asyncDispose]: () => mirror[Symbol.asyncDispose](),
  }
}
