import { join } from 'node:path'
import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { startCluster } from '../../test/cluster/cluster.ts'
import type { ClusterNode } from '../../test/cluster/node.ts'
import { podManifest } from '../../test/cluster/pods.ts'
import { writePauseImage } from '../../test/node/pause-image.ts'
import type { PodRecipe } from '../../test/node/recipe-pull.ts'
import { timed } from '../calls.ts'
import { CONTROLLER_PROGRAM, lockedUrl, SHIM_PROGRAM, writeFlake } from '../fixtures/node.ts'
import { createPodUntil, isRunning } from '../fixtures/pods.ts'
import { median } from '../statistics.ts'

const PODS = 15
const IMAGE = 'registry.example/bench/pod:1'

/** Starts pods on a node with the shim, whose image is already built, and on a node without, whose image was loaded by hand. */
export async function measurePodStart() {
  await using cluster = await startCluster()
  await cluster.installDeploy()
  await using _controller = await cluster.startController(CONTROLLER_PROGRAM)
  await using shimmed = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
  await using plain = await cluster.addNode({ withoutShim: true })
  await plain.bed.importImage(await writeImage(plain), IMAGE)
  const recipe = await writeRecipe(shimmed)
  const namespace = await cluster.createNamespace()
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  try {
    const withShim = startPods(kube, namespace, { node: shimmed, recipe })
    const without = startPods(kube, namespace, { node: plain })
    await withShim.start()
    await without.start()
    for (let n = 0; n < PODS; n += 1) {
      await withShim.sample()
      await without.sample()
    }
    const extra = median(withShim.samples) - median(without.samples)
    return { 'pod.running.extra': extra }
  } finally {
    await kube.close()
  }
}

async function writeImage({ bed }: ClusterNode): Promise<string> {
  const archive = join(bed.dir, 'image.tar')
  await writePauseImage(archive, IMAGE)
  return archive
}

async function writeRecipe(node: ClusterNode): Promise<PodRecipe> {
  const flake = await writeFlake(node.bed, 'pod', `cp ${await writeImage(node)} $out`)
  return { image: IMAGE, flakeUrl: await lockedUrl(node.bed, flake), packageName: 'image' }
}

function startPods(kube: Kube, namespace: string, { node, recipe }: { node: ClusterNode; recipe?: PodRecipe }) {
  const samples: number[] = []
  let count = 0
  const start = () => {
    count += 1
    const name = `${node.name}-${count}`
    const manifest = podManifest({ namespace, name, image: IMAGE, node: node.name, ...(recipe && { recipe }) })
    return createPodUntil(kube, { namespace, name, manifest }, isRunning)
  }
  return {
    samples,
    start,
    async sample() {
      samples.push(await timed(start))
    },
  }
}
