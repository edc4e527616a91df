import { distance } from 'fastest-levenshtein'
import { quote } from '../../lib/text/quote.ts'
import { annotationName, groupAnnotations } from '../annotations.ts'
import { MAX_REFERENCE_LENGTH, readableReference, repositoryOf } from '../reference.ts'

/** An annotation that names an image, but none of its pod's: a tool has changed one of the two names. */
export interface DriftedAnnotation {
  /** Full name of the annotation. */
  readonly annotation: string
  /** The image that it names, normalized. */
  readonly image: string
  /** The most similar image of the pod, as written there. Undefined if annotations name all images of the pod. */
  readonly nearest: string | undefined
}

/** Each comparison of two names takes microseconds, and tenants choose how many there are. */
const MAX_DRIFTED = 8
const MAX_IMAGES = 100

/** At most eight annotations, which name none of these images. Annotations that cannot be read are left out. */
export function findDrifted(
  annotations: Readonly<Record<string, string>>,
  images: readonly string[],
): readonly DriftedAnnotation[] {
  const named = groupAnnotations(annotations).flatMap(({ suffix, values }) => {
    const image = values.imageTag === undefined ? undefined : readableReference(values.imageTag)
    return image === undefined ? [] : [{ annotation: annotationName('imageTag', suffix), image }]
  })
  const names = new Set(named.map(({ image }) => image))
  const ofPod = images
    .slice(0, MAX_IMAGES)
    .map(written => ({ written, image: readableReference(written) ?? written.slice(0, MAX_REFERENCE_LENGTH) }))
  const used = new Set(images.map(image => readableReference(image)))
  const free = ofPod.filter(({ image }) => !names.has(image))
  const drifted = named.filter(({ image }) => !used.has(image)).slice(0, MAX_DRIFTED)
  return drifted.map(one => ({ ...one, nearest: nearestOf(one.image, free) }))
}

interface PodImage {
  readonly written: string
  readonly image: string
}

/** More than the distance of any two references. */
const OTHER_NAME = MAX_REFERENCE_LENGTH

/** An image with the same last part of its repository comes first: mirrors change the host, and automation the tag. */
function nearestOf(image: string, candidates: readonly PodImage[]): string | undefined {
  const rank = (other: string) => distance(image, other) + (isNamesake(image, other) ? 0 : OTHER_NAME)
  const ranked = candidates.map(({ written, image: other }) => ({ written, rank: rank(other) }))
  return ranked.toSorted((one, other) => one.rank - other.rank)[0]?.written
}

/** Whether both repositories end with the same name, as with `registry.example/team/app:1` and `mirror.example/app@sha256:…`. */
export function isNamesake(one: string, other: string): boolean {
  return lastName(one) === lastName(other)
}

function lastName(image: string): string {
  const repository = repositoryOf(image)
  return repository.slice(repository.lastIndexOf('/') + 1)
}

/** For Events, conditions and logs. */
export function describeDrifted({ annotation, image, nearest }: DriftedAnnotation): string {
  const named = `the annotation ${quote(annotation)} names ${quote(image)}, which is no image of the pod`
  const wayOut = 'use the same name in both, or remove the annotation'
  return nearest === undefined ? `${named}: ${wayOut}` : `${named}; the nearest is ${quote(nearest)}: ${wayOut}`
}
