import type { Kind } from '../../kube/client/contract.ts'
import type { Condition } from '../../kube/resources/condition.ts'
import type { OwnerReference } from '../../kube/resources/metadata.ts'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { type Pod, pods as podKind } from '../../kube/resources/pod.ts'
import { isRecipeAnnotation } from '../../recipes/annotations.ts'
import { MAX_REFERENCE_LENGTH, readableReference } from '../../recipes/reference.ts'

/** The kubelet sets this annotation. */
const STATIC_UID = 'kubernetes.io/config.mirror'

/** In characters. Users choose the size of their Pods up to the API server's limit, and each is kept in memory. */
const MAX_ANNOTATIONS = 64 * 1024
const MAX_IMAGES = 100

/** The parts of a Pod that the controller needs. */
export interface PodView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  /** In milliseconds. */
  readonly createdAt: number
  /** Undefined until the pod is scheduled. */
  readonly node: string | undefined
  /** Neither finished nor being deleted. */
  readonly living: boolean
  /** Only recipe annotations; empty if they are larger than any pod needs. */
  readonly annotations: Readonly<Record<string, string>>
  /** Distinct images of containers and volumes as the pod writes them, up to a limit. */
  readonly images: readonly string[]
  /**
   * Images that are certainly on the node, as a container was created from them. An image that has replaced another one
   * is not, until the kubelet has replaced the container.
   */
  readonly startedImages: readonly string[]
  /** Images that no kubelet pulls: all their containers have `imagePullPolicy: Never`. */
  readonly neverPulled: readonly string[]
  /** UID of the static pod that it stands for, as its node knows it. */
  readonly staticUid: string | undefined
  /** The ReplicaSet, Job etc. that created the pod; undefined for a bare pod. */
  readonly owner: OwnerReference | undefined
  /** The condition `enbi.hrzn.ee/ImageBuilt`. */
  readonly condition: Condition | undefined
}

export const pods: Kind<PodView> = {
  ...podKind,
  parse: object => viewOf(podKind.parse(object)),
}

/** Whether the pod needs reconciling. */
export function isRelevant({ annotations, condition }: PodView): boolean {
  return condition !== undefined || Object.keys(annotations).length > 0
}

/** How long it may take to learn that an image of a started pod was built, in milliseconds. */
const YOUNG_MS = 60_000

/** Whether an image of the pod may soon get a NixBuild by its name. Most pods of a cluster have started long ago. */
export function mayBeNamed({ living, node, images, startedImages, createdAt }: PodView, now: number): boolean {
  if (!living || node === undefined) return false
  return now < createdAt + YOUNG_MS || images.some(image => !startedImages.includes(image))
}

function viewOf({ metadata, spec, status }: Pod): PodView {
  const { namespace = '', name, uid, resourceVersion } = metadata
  const all = [...spec.initContainers, ...spec.containers, ...spec.ephemeralContainers]
  const volumeImages = spec.volumes.flatMap(({ image }) => readable(image?.reference))
  const started = startedContainers(status)
  const startedImages = all
    .filter(each => isImageOf(each, started.get(each.name)))
    .flatMap(({ image }) => readable(image))
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    createdAt: Date.parse(metadata.creationTimestamp),
    node: spec.nodeName,
    living: metadata.deletionTimestamp === undefined && status.phase !== 'Succeeded' && status.phase !== 'Failed',
    annotations: recipeAnnotations(metadata.annotations),
    images: distinct([...all.flatMap(({ image }) => readable(image)), ...volumeImages]).slice(0, MAX_IMAGES),
    // Volumes exist before the first container does.
    startedImages: distinct([...startedImages, ...(started.size > 0 ? volumeImages : [])]),
    neverPulled: neverPulled(all).filter(image => !volumeImages.includes(image)),
    staticUid: metadata.annotations[STATIC_UID],
    owner: metadata.ownerReferences.find(({ controller }) => controller),
    condition: status.conditions.find(({ type }) => type === IMAGE_BUILT_CONDITION),
  }
}

function neverPulled(containers: Pod['spec']['containers']): string[] {
  const pulled = new Set(containers.filter(each => each.imagePullPolicy !== 'Never').map(({ image }) => image))
  return distinct(containers.flatMap(({ image }) => (pulled.has(image) ? [] : readable(image))))
}

/** Longer texts cannot be image references. */
function readable(image: string | undefined): string[] {
  return image === undefined || image.length > MAX_REFERENCE_LENGTH ? [] : [image]
}

function recipeAnnotations(annotations: Pod['metadata']['annotations']): PodView['annotations'] {
  const ours = Object.entries(annotations).filter(([key]) => isRecipeAnnotation(key))
  const length = ours.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  return length > MAX_ANNOTATIONS ? {} : Object.fromEntries(ours)
}

/** The images of the containers that have been created, by name. */
function startedContainers(status: Pod['status']): ReadonlyMap<string, string> {
  const all = [...status.initContainerStatuses, ...status.containerStatuses, ...status.ephemeralContainerStatuses]
  const started = all.filter(each => each.imageID !== '' || each.state.running)
  return new Map(started.map(({ name, image }) => [name, image]))
}

/**
 * Whether the container was created from the image that the pod asks for now. containerd names the image by any of its
 * tags, or by its id if it has none: an image with a digest, or one without a tag, cannot be distinguished from another.
 */
function isImageOf({ image = '' }: Pod['spec']['containers'][number], created: string | undefined): boolean {
  if (created === undefined) return false
  if (created === '' || created.startsWith('sha256:') || image.includes('@')) return true
  return readableReference(created) === readableReference(image)
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)]
}
