import { readableReference } from '../../recipes/reference.ts'
import type { PodView } from '../views/pod.ts'
import { imageId } from './builds.ts'

/** What is kept of a pod that needs no reconciling: its images, shared by all pods with the same. */
export interface UsedImages {
  /** Each an `imageId`. */
  readonly images: readonly string[]
}

/** Which images the pods use that need no reconciling. A cluster may have hundreds of thousands of such pods. */
export interface ImageUse {
  /** The images of a living pod. */
  of(pod: PodView): UsedImages | undefined
  set(podKey: string, used: UsedImages | undefined): void
  isUsed(image: string): boolean
}

export function createImageUse(): ImageUse {
  const byPod = new Map<string, UsedImages>()
  /** By their text. */
  const shared = new Map<string, UsedImages>()
  const users = new Map<UsedImages, number>()
  /** Number of shared sets that have the image. */
  const sets = new Map<string, number>()

  function add(used: UsedImages): void {
    const count = users.get(used) ?? 0
    users.set(used, count + 1)
    if (count > 0) return
    shared.set(textOf(used.images), used)
    for (const image of used.images) sets.set(image, (sets.get(image) ?? 0) + 1)
  }

  function remove(used: UsedImages): void {
    const left = (users.get(used) ?? 0) - 1
    if (left > 0) {
      users.set(used, left)
      return
    }
    users.delete(used)
    shared.delete(textOf(used.images))
    for (const image of used.images) {
      const count = (sets.get(image) ?? 0) - 1
      if (count > 0) sets.set(image, count)
      else sets.delete(image)
    }
  }

  return {
    of(pod) {
      if (!pod.living) return undefined
      const ids = imageIdsOf(pod)
      return shared.get(textOf(ids)) ?? { images: ids }
    },
    set(podKey, used) {
      const before = byPod.get(podKey)
      if (before === used) return
      if (used) {
        add(used)
        byPod.set(podKey, used)
      } else byPod.delete(podKey)
      if (before) remove(before)
    },
    isUsed: image => sets.has(image),
  }
}

/** Each an `imageId`. */
export function imageIdsOf({ namespace, images }: PodView): string[] {
  return images.map(image => imageId(namespace, readableReference(image) ?? image))
}

function textOf(images: readonly string[]): string {
  return images.join(' ')
}
