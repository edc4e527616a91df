import type { Kube } from '../../kube/client/contract.ts'
import { RetryableError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { recipeFinder } from '../../recipes/find-recipe.ts'
import { readableReference } from '../../recipes/reference.ts'
import { type PodView, pods } from '../views/pod.ts'

/** Any value: whether there is a recipe does not depend on the system. */
const ANY_SYSTEM = 'x86_64-linux'

export interface ImagesInUseOptions {
  readonly kube: Pick<Kube, 'list'>
  /** How long an image that is in use is cached, in milliseconds. */
  readonly usedCacheMs: number
  /** How long an image that is not in use is cached, in milliseconds. */
  readonly unusedCacheMs: number
  readonly now?: () => number
}

/** Time limit for listing the pods of a namespace, in milliseconds. */
const MAX_MS = 15_000

/**
 * Images, normalized, that living pods of the namespace use without annotations for them. The result is reliable for
 * the given images only. Such pods are not watched, and listing a namespace is expensive, so concurrent callers share
 * one list. Throws ClusterAway if listing takes too long.
 */
export type ImagesInUse = (namespace: string, images: readonly string[]) => Promise<ReadonlySet<string>>

interface Listing {
  readonly images: ReadonlySet<string>
  readonly since: number
}

export function createImagesInUse(options: ImagesInUseOptions): ImagesInUse {
  const { kube, usedCacheMs, unusedCacheMs, now = Date.now } = options
  const known = new Map<string, Listing>()
  const asking = new Map<string, Promise<Listing>>()

  async function ask(namespace: string): Promise<Listing> {
    const since = now()
    const listing = { images: await listImages(kube, namespace, since + MAX_MS, now), since }
    known.set(namespace, listing)
    return listing
  }

  function isKnown({ images: inUse, since }: Listing, images: readonly string[]): boolean {
    return now() < since + unusedCacheMs || images.every(image => inUse.has(image))
  }

  return async (namespace, images) => {
    for (const [name, { since }] of known) if (now() >= since + usedCacheMs) known.delete(name)
    const before = known.get(namespace)
    if (before && isKnown(before, images)) return before.images
    const asked = asking.get(namespace) ?? ask(namespace).finally(() => asking.delete(namespace))
    asking.set(namespace, asked)
    return (await asked).images
  }
}

async function listImages(
  kube: Pick<Kube, 'list'>,
  namespace: string,
  until: number,
  now: () => number,
): Promise<Set<string>> {
  const images = new Set<string>()
  await kube.list(pods, { namespace }, pod => {
    if (now() > until) throw new RetryableError('ClusterAway', `cannot list the pods of ${quote(namespace)} in time`)
    if (!pod.living) return
    const isWatched = watchedOf(pod)
    for (const image of pod.images) if (!isWatched(image)) images.add(readableReference(image) ?? image)
  })
  return images
}

/** Images with annotations need no list: their pods are watched. */
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
