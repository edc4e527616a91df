import type { ClusterNode } from '../../test/cluster/node.ts'
import { SANDBOX_IMAGE } from '../../test/node/containerd.ts'
import type { Churn } from './churn.ts'
import type { SeenPod } from './watch.ts'

/** Removes the images that no pod uses, by the kubelet's call. */
export async function removeUnusedImages(
  node: ClusterNode,
  churn: Pick<Churn, 'wanted'>,
  seen: { values(): Iterable<SeenPod> },
): Promise<void> {
  const cri = node.bed.cri(node.shim.socket)
  for (const { id, repoTags } of await cri.listImages()) {
    const wanted = churn.wanted()
    const isNamed = repoTags.some(tag => tag === SANDBOX_IMAGE || wanted.has(tag))
    if (isNamed || [...seen.values()].some(({ imageId }) => imageId.includes(id))) continue
    await cri.removeImage(id)
  }
}
