import { type NixBuild, recipeOnly } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import type { Pod } from '../../../kube/resources/pod.ts'
import { recipeFinder } from '../../../recipes/find-recipe.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import { readableReference } from '../../../recipes/reference.ts'

/** NixBuilds by what they are to a pod. */
export interface PodBuilds {
  /** Of its images. */
  readonly builds: readonly NixBuild[]
  /** Of its images, but not for the system of its node. */
  readonly others: readonly NixBuild[]
  readonly doubt?: Doubt | undefined
}

/** Some of the builds are not for the system of the pod's node, and nobody says which. */
export interface Doubt {
  /** For people, without a full stop. */
  readonly text: string
  /** The pod has no node yet. */
  readonly isEarly: boolean
}

/**
 * The NixBuilds of a pod's images. Annotations of the pod decide for the images that they name. Without a known system
 * of the pod's node, NixBuilds that name the node decide: a node makes images for its own system only.
 */
export function buildsOfPod(pod: Pod, all: readonly NixBuild[], knownSystem: string | undefined): PodBuilds {
  const images = imagesOf(pod)
  const found = all.filter(build => {
    const image = readableReference(build.spec.imageTag)
    return image !== undefined && images.has(image) && isOfPod(pod, image, build)
  })
  const system = knownSystem ?? systemByBuilds(pod.spec.nodeName, found)
  if (system === undefined) return { builds: found, others: [], doubt: doubtAbout(pod, found) }
  const isOurs = ({ spec }: NixBuild) => spec.system === system
  return { builds: found.filter(isOurs), others: found.filter(build => !isOurs(build)) }
}

/** Normalized references of the images of all containers and volumes. */
function imagesOf({ spec }: Pod): ReadonlySet<string> {
  const { containers, initContainers, ephemeralContainers, volumes } = spec
  const named = [...containers, ...initContainers, ...ephemeralContainers].map(({ image }) => image)
  const mounted = volumes.map(({ image }) => image?.reference)
  return new Set([...named, ...mounted].flatMap(image => (image && readableReference(image)) || []))
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

function systemByBuilds(node: string | undefined, builds: readonly NixBuild[]): string | undefined {
  if (node === undefined) return undefined
  const systems = new Set(builds.filter(build => nodesOf(build).includes(node)).map(({ spec }) => spec.system))
  const [system] = systems
  return systems.size === 1 ? system : undefined
}

/** Nodes that build it or have it. One that failed may have refused it because it has another system. */
function nodesOf({ status: { status, buildNode, ready, building } }: NixBuild): (string | undefined)[] {
  const counted = [ready, building].flatMap(count => count?.nodes ?? [])
  return status === 'Building' || status === 'Importing' || status === 'Succeeded' ? [buildNode, ...counted] : counted
}

function doubtAbout({ spec: { nodeName } }: Pod, builds: readonly NixBuild[]): Doubt | undefined {
  const byImage = Map.groupBy(builds, ({ spec }) => readableReference(spec.imageTag))
  const mixed = [...byImage.values()].find(same => new Set(same.map(({ spec }) => spec.system)).size > 1)
  if (mixed === undefined) return undefined
  const why =
    nodeName === undefined
      ? 'the pod has no node yet'
      : `the system of ${nodeName} cannot be read from its NixNode or its Node`
  const isEarly = nodeName === undefined
  return { text: `${mixed[0]?.spec.imageTag} has the NixBuilds ${nameBuilds(mixed)}, and ${why}`, isEarly }
}

/** More than there are systems in most clusters. */
const MAX_NAMED = 4

/** `app-1 for x86_64-linux and app-2 for aarch64-linux` */
export function nameBuilds(builds: readonly NixBuild[]): string {
  const named = builds.slice(0, MAX_NAMED).map(({ metadata, spec }) => `${metadata.name} for ${spec.system}`)
  const more = builds.length - named.length
  return new Intl.ListFormat('en').format(more > 0 ? [...named, `${more} more`] : named)
}
