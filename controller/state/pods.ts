import { namespaceOf } from '../../kube/mirror.ts'
import type { PodImageRequest, PodRequests } from '../plan/pod-requests.ts'
import { type RecipeView, recipeId } from '../views/nixbuild.ts'
import { isRelevant, mayBeNamed, type PodView } from '../views/pod.ts'
import { imageId } from './builds.ts'
import { createImageUse, imageIdsOf, type UsedImages } from './image-use.ts'
import { createGroupIndex, createMultiIndex } from './indices.ts'
import { createRecentWrites } from './recent-writes.ts'
import { createRequestIndex } from './request-index.ts'

/** The pods that may request builds, by annotations or image names, and their requests. */
export interface Pods {
  /** Undefined also for a pod that needs no reconciling. */
  get(key: string): PodView | undefined
  /** Records a pod as it was just written. */
  recordWrite(key: string, pod: PodView): void
  /** Reads the pod again first if its requests are outdated. */
  requestsOf(key: string): PodRequests
  podsRequesting(id: string): ReadonlyMap<string, PodImageRequest>
  /** The node of a pod as the index has it: after a watch event, the old one until `changed` is called. */
  nodeOf(key: string): string | undefined
  /** Keys of all pods that need reconciling. */
  toReconcile(): Iterable<string>
  /** Keys of the pods of a node. */
  onNode(node: string): Iterable<string>
  /** Whether a pod of the node that has not started requests the `recipeId`. */
  isWaitedForOn(id: string, node: string): boolean
  /** Whether a living pod uses the `imageId` that has no annotations for it. */
  isImageUsed(id: string): boolean
  /** The same for a pod of the node. It does not count pods that need no reconciling. */
  isImageUsedOn(id: string, node: string): boolean
  /** What to keep of a pod that the watch reports. */
  kept(key: string, pod: PodView): KeptPod | undefined
  /** Reads a pod again after a watch event. */
  changed(key: string): void
  /** Marks the pods of a node for reconciling. Reads them again if the node's system has changed or become known. */
  nodeChanged(node: string, change: { readonly system: boolean }): void
  /**
   * Marks the pods of an `imageId` for reconciling. As there may be thousands, each is read again only when reconciled.
   */
  imageChanged(id: string): void
}

export type KeptPod = PodView | UsedImages

export interface PodsOptions {
  readonly mirrored: (key: string) => KeptPod | undefined
  readonly allMirrored: () => Iterable<readonly [string, KeptPod]>
  /** Replaces what is mirrored of a pod, and marks it as changed. */
  readonly keepLess: (key: string, kept: KeptPod | undefined) => void
  readonly systemOf: (node: string) => string | undefined
  /** The recipes of an `imageId` in NixBuilds. */
  readonly recipesOf: (id: string) => readonly RecipeView[]
  readonly onPod: (key: string) => void
  /** Called with a `recipeId` when its pods have changed, or one of them has started. */
  readonly onRequest: (id: string) => void
  readonly now?: () => number
}

/**
 * Limit for pods without annotations, which are kept whole only while they start. The condition of others is not
 * maintained.
 */
const MAX_PLAIN = 20_000
/** Limit per namespace, so that pods that never start do not displace those of other namespaces. */
const MAX_PLAIN_PER_NAMESPACE = MAX_PLAIN / 4

/** How often started pods give up their places when all are taken, in milliseconds. */
const SWEEP_MS = 10_000

export function createPods(options: PodsOptions): Pods {
  const { mirrored, allMirrored, keepLess, systemOf, recipesOf, onPod, onRequest, now = Date.now } = options
  const index = createRequestIndex()
  const byNode = createGroupIndex()
  const byImage = createMultiIndex()
  const plain = createSharedQuota({ most: MAX_PLAIN, maxPerGroup: MAX_PLAIN_PER_NAMESPACE, groupOf: namespaceOf })
  const stale = new Set<string>()
  const recent = createRecentWrites<PodView>(onPod)
  const use = createImageUse()
  let sweptAt = 0

  const get = (key: string) => recent.get(key) ?? wholePod(mirrored(key))
  const requestsNothing = (key: string) => {
    const { requests, problems } = index.requestsOf(key)
    return requests.length + problems.length === 0
  }

  function changed(key: string): void {
    const reported = mirrored(key)
    recent.observe(key, wholePod(reported))
    use.set(key, reported && 'createdAt' in reported ? undefined : reported)
    const pod = get(key)
    const isIdle = requestsNothing(key) && (pod ? !isRelevant(pod) : plain.has(key))
    if (pod && !isRelevant(pod)) plain.add(key)
    else plain.delete(key)
    byNode.put(key, pod?.node)
    byImage.put(key, pod?.living ? [...new Set(imageIdsOf(pod))] : [])
    read(key, pod)
    if (!isIdle || !requestsNothing(key)) onPod(key)
  }

  function read(key: string, pod: PodView | undefined): void {
    const namespace = namespaceOf(key)
    const system = pod?.node === undefined ? undefined : systemOf(pod.node)
    const namedRecipes = (reference: string) => recipesOf(imageId(namespace, reference))
    stale.delete(key)
    for (const id of index.update(key, pod, { system, namedRecipes })) onRequest(id)
  }

  /** No event reports that a started pod need not be kept whole any more. */
  function canHold(key: string): boolean {
    if (plain.canHold(key)) return true
    if (now() < sweptAt + SWEEP_MS) return false
    sweptAt = now()
    for (const each of plain.keys()) {
      const pod = wholePod(mirrored(each))
      if (pod && !mayBeNamed(pod, now())) keepLess(each, use.of(pod))
    }
    return plain.canHold(key)
  }

  /** A pod with annotations for the image requests it, and nothing else. */
  function usesImage(key: string, id: string): boolean {
    const { requests } = index.requestsOf(key)
    return !requests.some(({ named, recipe }) => !named && imageId(namespaceOf(key), recipe.image) === id)
  }

  return {
    get,
    recordWrite: recent.put,
    requestsOf(key) {
      if (stale.has(key)) read(key, get(key))
      return index.requestsOf(key)
    },
    podsRequesting: index.podsRequesting,
    *toReconcile() {
      for (const [key, kept] of allMirrored()) {
        const pod = wholePod(kept)
        if (pod && (isRelevant(pod) || !requestsNothing(key))) yield key
      }
    },
    nodeOf: byNode.groupOf,
    onNode: node => byNode.keysIn(node),
    isWaitedForOn: (id, node) =>
      [...byNode.keysIn(node)].some(key =>
        index
          .requestsOf(key)
          .requests.some(request => !request.started && recipeId(namespaceOf(key), request.key) === id),
      ),
    isImageUsed: id => use.isUsed(id) || [...byImage.keysIn(id)].some(key => usesImage(key, id)),
    isImageUsedOn: (id, node) =>
      [...byNode.keysIn(node)].some(key => byImage.groupsOf(key).includes(id) && usesImage(key, id)),
    kept: (key, pod) => (isRelevant(pod) || (mayBeNamed(pod, now()) && canHold(key)) ? pod : use.of(pod)),
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

function wholePod(kept: KeptPod | undefined): PodView | undefined {
  return kept && 'createdAt' in kept ? kept : undefined
}

/** A limited set of keys, of which each group may use only a part. */
interface SharedQuota {
  has(key: string): boolean
  /** A copy. */
  keys(): readonly string[]
  /** Whether it contains the key, or could add it. */
  canHold(key: string): boolean
  add(key: string): void
  delete(key: string): void
}

interface SharedQuotaOptions {
  readonly most: number
  readonly maxPerGroup: number
  readonly groupOf: (key: string) => string
}

function createSharedQuota({ most, maxPerGroup, groupOf }: SharedQuotaOptions): SharedQuota {
  const keys = new Set<string>()
  const shares = new Map<string, number>()

  const shareOf = (key: string) => shares.get(groupOf(key)) ?? 0

  return {
    has: key => keys.has(key),
    keys: () => [...keys],
    canHold: key => keys.has(key) || (keys.size < most && shareOf(key) < maxPerGroup),
    add(key) {
      if (keys.has(key)) return
      keys.add(key)
      shares.set(groupOf(key), shareOf(key) + 1)
    },
    delete(key) {
      if (!keys.delete(key)) return
      const left = shareOf(key) - 1
      if (left === 0) shares.delete(groupOf(key))
      else shares.set(groupOf(key), left)
    },
  }
}
