import { namespaceOf } from '../../kube/mirror.ts'
import { readableReference } from '../../recipes/reference.ts'
import type { PodWants, Want } from '../reconcile/pod-wants.ts'
import type { RecipeView } from '../views/nixbuild.ts'
import { isRelevant, mayBeNamed, type PodView } from '../views/pod.ts'
import { imageId } from './builds.ts'
import { createGroupIndex, createMultiIndex } from './multi-index.ts'
import { createRecent } from './recent.ts'
import { createSharedRoom } from './shared-room.ts'
import { isOlder } from './versions.ts'
import { createWantsIndex } from './wants-index.ts'

/** The pods that annotations, or the names of their images, may have something built for, and what they want. */
export interface Pods {
  get(key: string): PodView | undefined
  /** As it was just written. */
  wrote(key: string, pod: PodView): void
  /** Reads one anew first that is to be. */
  wantsOf(key: string): PodWants
  podsWanting(id: string): ReadonlyMap<string, Want>
  /** Whether one that the watch tells of is to be kept. */
  isKept(key: string, pod: PodView): boolean
  /** Reads one anew that the watch told of. */
  changed(key: string): void
  /** Looks again at those on a node; reads them anew if its system is another, or known by now. */
  nodeChanged(node: string, change: { readonly system: boolean }): void
  /** Looks again at those that name an image, by `imageId`, and reads them anew only then: there may be thousands. */
  imageChanged(id: string): void
}

export interface PodsPlan {
  readonly mirrored: (key: string) => PodView | undefined
  readonly systemOf: (node: string) => string | undefined
  /** Of the NixBuilds of an image, by `imageId`. */
  readonly recipesOf: (id: string) => readonly RecipeView[]
  readonly onPod: (key: string) => void
  /** The pods that want a recipe are others than before, or wait no more. */
  readonly onWant: (id: string) => void
  readonly now?: () => number
}

/** So many pods without annotations are kept: those that start right now. Of the others nobody is told how their build goes. */
const MAX_PLAIN = 20_000
/** So many of one namespace: whoever makes pods that never start takes no room of others. */
const MAX_PLAIN_OF_NAMESPACE = MAX_PLAIN / 4

export function createPods({ mirrored, systemOf, recipesOf, onPod, onWant, now = Date.now }: PodsPlan): Pods {
  const index = createWantsIndex()
  const byNode = createGroupIndex()
  const byImage = createMultiIndex()
  const plain = createSharedRoom({ most: MAX_PLAIN, mostOfGroup: MAX_PLAIN_OF_NAMESPACE, groupOf: namespaceOf })
  const stale = new Set<string>()
  const recent = createRecent<PodView>(onPod)

  const get = (key: string) => recent.get(key) ?? mirrored(key)
  const wantsNothing = (key: string) => {
    const { wants, problems } = index.wantsOf(key)
    return wants.length + problems.length === 0
  }

  function changed(key: string): void {
    if (!isOlder(mirrored(key), recent.get(key))) recent.forget(key)
    const pod = get(key)
    const isIdle = wantsNothing(key) && (pod ? !isRelevant(pod) : plain.has(key))
    if (pod && !isRelevant(pod)) plain.add(key)
    else plain.delete(key)
    byNode.put(key, pod?.node)
    byImage.put(key, pod ? imagesOf(pod) : [])
    read(key, pod)
    if (!isIdle || !wantsNothing(key)) onPod(key)
  }

  function read(key: string, pod: PodView | undefined): void {
    const namespace = namespaceOf(key)
    const system = pod?.node === undefined ? undefined : systemOf(pod.node)
    const namedRecipes = (reference: string) => recipesOf(imageId(namespace, reference))
    stale.delete(key)
    for (const id of index.update(key, pod, { system, namedRecipes })) onWant(id)
  }

  return {
    get,
    wrote: recent.put,
    wantsOf(key) {
      if (stale.has(key)) read(key, get(key))
      return index.wantsOf(key)
    },
    podsWanting: index.podsWanting,
    isKept: (key, pod) => isRelevant(pod) || (mayBeNamed(pod, now()) && plain.mayHave(key)),
    changed,
    nodeChanged(node, { system }) {
      for (const key of [...byNode.keysIn(node)]) system ? changed(key) : onPod(key)
    },
    imageChanged(id) {
      for (const key of byImage.keysIn(id)) {
        stale.add(key)
        onPod(key)
      }
    },
  }
}

function imagesOf({ namespace, living, images }: PodView): string[] {
  if (!living) return []
  return [...new Set(images.map(image => imageId(namespace, readableReference(image) ?? image)))]
}
