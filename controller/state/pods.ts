import type { PodView } from '../kinds/pod.ts'
import { createRecent } from '../recent.ts'
import type { PodWants, Want } from '../reconcile/pod-wants.ts'
import { createGroupIndex } from './group-index.ts'
import { isOlder } from './versions.ts'
import { createWantsIndex } from './wants-index.ts'

/** The annotated pods, and what they want. */
export interface Pods {
  get(key: string): PodView | undefined
  /** As it was just written. */
  wrote(key: string, pod: PodView): void
  wantsOf(key: string): PodWants
  podsWanting(id: string): ReadonlyMap<string, Want>
  /** Reads one anew that the watch told of. */
  changed(key: string): void
  /** Looks again at those on a node; reads them anew if its system is another, or known by now. */
  nodeChanged(node: string, change: { readonly system: boolean }): void
}

export interface PodsPlan {
  readonly mirrored: (key: string) => PodView | undefined
  readonly systemOf: (node: string) => string | undefined
  readonly onPod: (key: string) => void
  /** The pods that want a recipe are others than before, or wait no more. */
  readonly onWant: (id: string) => void
}

export function createPods({ mirrored, systemOf, onPod, onWant }: PodsPlan): Pods {
  const index = createWantsIndex()
  const byNode = createGroupIndex()
  const recent = createRecent<PodView>(onPod)

  const get = (key: string) => recent.get(key) ?? mirrored(key)

  function changed(key: string): void {
    if (!isOlder(mirrored(key), recent.get(key))) recent.forget(key)
    const pod = get(key)
    byNode.put(key, pod?.node)
    for (const id of index.update(key, pod, pod?.node === undefined ? undefined : systemOf(pod.node))) onWant(id)
    onPod(key)
  }

  return {
    get,
    wrote: recent.put,
    wantsOf: index.wantsOf,
    podsWanting: index.podsWanting,
    changed,
    nodeChanged(node, { system }) {
      for (const key of [...byNode.keysIn(node)]) system ? changed(key) : onPod(key)
    },
  }
}
