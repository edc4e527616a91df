import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { conditionSchema } from '../../kube/resources/condition.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import { type NixBuild, recipeOnly } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { recipeFinder } from '../../recipes/find-recipe.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'

const text = v.optional(v.string(), '')
const containers = v.optional(v.array(v.object({ image: text })), [])
const waiting = v.object({ reason: text, message: text })
const containerStatuses = v.optional(
  v.array(
    v.object({
      name: v.string(),
      image: text,
      ready: v.optional(v.boolean(), false),
      state: v.optional(v.object({ waiting: v.optional(waiting), running: v.optional(v.looseObject({})) }), {}),
    }),
  ),
  [],
)

const podSchema = v.object({
  metadata: metadataSchema,
  spec: v.object({
    nodeName: v.optional(v.string()),
    containers,
    initContainers: containers,
    ephemeralContainers: containers,
    volumes: v.optional(v.array(v.object({ image: v.optional(v.object({ reference: text })) })), []),
  }),
  status: v.optional(
    v.object({
      phase: text,
      conditions: v.optional(v.array(conditionSchema), []),
      containerStatuses,
      initContainerStatuses: containerStatuses,
    }),
    {},
  ),
})

/** The parts of a Pod that the plugin shows. */
export type Pod = v.InferOutput<typeof podSchema>

export const pods: Kind<Pod> = {
  apiVersion: 'v1',
  kind: 'Pod',
  plural: 'pods',
  namespaced: true,
  parse: object => v.parse(podSchema, object),
}

const podEventSchema = v.object({
  type: text,
  reason: text,
  message: text,
  lastTimestamp: v.optional(v.nullable(v.string())),
  eventTime: v.optional(v.nullable(v.string())),
})

export type PodEvent = v.InferOutput<typeof podEventSchema>

export const podEvents: Kind<PodEvent> = {
  apiVersion: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
  parse: object => v.parse(podEventSchema, object),
}

/** Normalized references of the images of all containers and volumes. */
export function imagesOf({ spec }: Pod): ReadonlySet<string> {
  const { containers, initContainers, ephemeralContainers, volumes } = spec
  const named = [...containers, ...initContainers, ...ephemeralContainers].map(({ image }) => image)
  const mounted = volumes.flatMap(({ image }) => image?.reference ?? [])
  return new Set([...named, ...mounted].flatMap(image => readableReference(image) ?? []))
}

/** The NixBuilds of a pod's images. Annotations of the pod decide for the images that they name. */
export function buildsOfPod(pod: Pod, builds: readonly NixBuild[]): NixBuild[] {
  const images = imagesOf(pod)
  return builds.filter(build => {
    const image = readableReference(build.spec.imageTag)
    return image !== undefined && images.has(image) && isOfPod(pod, image, build)
  })
}

function isOfPod({ metadata: { annotations } }: Pod, image: string, build: NixBuild): boolean {
  const { system } = build.spec
  try {
    const annotated = recipeFinder({ annotations, system })(image)
    return annotated === undefined || recipeKey(annotated) === recipeKey(recipeOf({ spec: recipeOnly(build.spec) }))
  } catch {
    return false
  }
}
