import { describeDrifted, findDrifted, isNamesake } from '../../recipes/names/drifted-annotations.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { PodView } from '../views/pod.ts'

/**
 * Why an image of the pod may have no recipe, for people: an annotation names nearly this image, and no image of the
 * pod. Says nothing of an image that a container was created from: wherever it came from, it is there.
 */
export function describeDriftedImages({ annotations, images, startedImages }: PodView): readonly string[] {
  if (images.every(image => startedImages.includes(image))) return []
  return findDrifted(annotations, images)
    .filter(({ image, nearest = '' }) => !startedImages.includes(nearest) && isSimilar(image, nearest))
    .map(describeDrifted)
}

function isSimilar(image: string, written: string): boolean {
  const reference = readableReference(written)
  return reference !== undefined && isNamesake(image, reference)
}
