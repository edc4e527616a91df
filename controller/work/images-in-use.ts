import type { Kube } from '../../kube/contract.ts'
import { recipeFinder } from '../../shim/recipes/find-recipe.ts'
import { readableReference } from '../../shim/reference.ts'
import { type PodView, pods } from '../kinds/pod.ts'

/** Whether there is a recipe does not depend on it. */
const ANY_SYSTEM = 'x86_64-linux'

export interface ImagesInUsePlan {
  readonly kube: Pick<Kube, 'list'>
  /** How long it is believed that an image is in use, in milliseconds. That it is not is asked each time. */
  readonly believeMs: number
  readonly now?: () => number
}

/**
 * Those images of a namespace, normalised, that its living pods name without annotations for them; for sure whether those that are
 * asked for are among them. Such pods are not watched, and to list all of a namespace is much.
 */
export type ImagesInUse = (namespace: string, images: readonly string[]) => Promise<ReadonlySet<string>>

export function createImagesInUse({ kube, believeMs, now = Date.now }: ImagesInUsePlan): ImagesInUse {
  const known = new Map<string, { readonly images: ReadonlySet<string>; readonly since: number }>()

  return async (namespace, images) => {
    const begin = now()
    for (const [name, { since }] of known) if (begin >= since + believeMs) known.delete(name)
    const before = known.get(namespace)
    if (before && images.every(image => before.images.has(image))) return before.images
    const found = await listImages(kube, namespace)
    known.set(namespace, { images: found, since: begin })
    return found
  }
}

async function listImages(kube: Pick<Kube, 'list'>, namespace: string): Promise<Set<string>> {
  const images = new Set<string>()
  await kube.list(pods, { namespace }, pod => {
    if (!pod.living) return
    const isWatched = watchedOf(pod)
    for (const image of pod.images) if (!isWatched(image)) images.add(readableReference(image) ?? image)
  })
  return images
}

/** What a pod's own annotations name is known at any time. */
function watchedOf({ annotations, node }: PodView): (image: string) => boolean {
  if (node === undefined) return () => false
  const find = recipeFinder({ annotations, system: ANY_SYSTEM })
  return image => {
    try {
      return find(image) !== undefined
    } catch {
      return false
    }
  }
}
