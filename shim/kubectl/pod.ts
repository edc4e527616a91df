import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { type NixBuild, recipeOnly } from '../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import type { Pod } from '../../kube/resources/pod.ts'
import { recipeFinder } from '../../recipes/find-recipe.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import { readableReference } from '../../recipes/reference.ts'

const text = v.optional(v.string(), '')
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
  return new Set([...named, ...mounted].flatMap(image => (image && readableReference(image)) || []))
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
