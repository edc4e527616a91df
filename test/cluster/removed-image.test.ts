import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { copyExample } from '../node/example.ts'
import type { PodRecipe } from '../node/recipe-pull.ts'
import { PATIENT } from '../patience.ts'
import { listNixBuilds, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import { watchImageBuilt } from './watch-image-built.ts'
import type { WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode({ kubeletConfig: { imageMinimumGCAge: '1ms' } })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('`crictl rmi` removes the gc root and the entry in the NixBuild, and the next pull rebuilds the image', async () => {
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  const built = await runAndDelete(flake.recipe('registry.example/removed/by-hand:1'))
  expect(await isCollected(built.storePath)).toBe(false)
  await removeImage(built)
  await expectForgotten(built)

  await flake.close()
  await using watch = await watchImageBuilt(cluster, built.namespace)
  const next = await built.apply('next')
  await expect.poll(() => imageBuilt(cluster, next), PATIENT).toMatchObject({ status: 'False', reason: 'Building' })
  await flake.open()
  await expectRunning(built, next)
  expect(watch.reasonsOf(next.name).filter(reason => reason === 'Built')).toEqual(['Built'])
})

test("the kubelet's image garbage collection removes the gc root and the entry in the NixBuild, and the next pull succeeds", async () => {
  const { url: flakeUrl } = await copyExample('formats', node.bed.dir)
  const built = await runAndDelete({ image: 'registry.example/removed/collected:1', flakeUrl, packageName: 'stream' })
  await withFullDisk(() => expectForgotten(built))
  const next = await built.apply('next')
  await expectRunning(built, next)
})

interface BuiltImage {
  readonly namespace: string
  readonly image: string
  readonly storePath: string
  /** Creates another pod with the same recipe. */
  apply(name: string): Promise<PodName>
}

/** Runs a pod with the recipe and deletes it, so that only its image remains. */
async function runAndDelete(recipe: PodRecipe): Promise<BuiltImage> {
  const { image } = recipe
  const namespace = await cluster.createNamespace()
  const apply = async (name: string) => {
    const pod = { namespace, name }
    await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
    return pod
  }
  const first = await apply('first')
  await waitForPhase(cluster, first, 'Running')
  const [nixBuild] = await untilNixBuilds(cluster, namespace, {
    status: 'Succeeded',
    ready: { count: 1, nodes: [node.name] },
  })
  await cluster.kubectl(['delete', 'pod', first.name, `--namespace=${namespace}`])
  return { namespace, image, storePath: nixBuild?.status.storePath ?? '', apply }
}

/** Makes the same call as `crictl rmi`. */
function removeImage({ image }: BuiltImage): Promise<void> {
  return node.bed.cri(node.shim.socket).removeImage(image)
}

async function expectForgotten({ image, namespace, storePath }: BuiltImage): Promise<void> {
  await expect.poll(() => node.bed.cri().imageStatus(image), PATIENT).toBeUndefined()
  await expect.poll(() => isCollected(storePath), PATIENT).toBe(true)
  const ready = async () => (await listNixBuilds(cluster, namespace)).map(({ status }) => status.ready)
  await expect.poll(ready, PATIENT).toEqual([undefined])
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: node.name })
}

async function expectRunning({ namespace, image }: BuiltImage, pod: PodName): Promise<void> {
  await waitForPhase(cluster, pod, 'Running')
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
  expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
  const { id } = await node.bed.cri().waitForImage(image)
  await untilNixBuilds(cluster, namespace, {
    status: 'Succeeded',
    imageDigest: id,
    ready: { count: 1, nodes: [node.name] },
  })
}

/** Whether Nix's garbage collection removes the store path. */
async function isCollected(storePath: string): Promise<boolean> {
  await node.bed.run('nix-store', ['--gc'])
  const found = await node.bed.run('test', ['-e', storePath], { reject: false })
  return found.exitCode !== 0
}

/** On a full disk the kubelet removes all images that no container uses, and evicts its pods. */
async function withFullDisk(task: () => Promise<void>): Promise<void> {
  const file = join(node.bed.dir, 'kubelet/config.yaml')
  const config = await readFile(file, 'utf8')
  const evictionHard = { 'memory.available': '1Mi', 'nodefs.available': '1Mi', 'imagefs.available': '1Ei' }
  await writeFile(file, stringify({ ...parse(config), evictionHard }))
  await node.kubelet.restart()
  await task()
  await writeFile(file, config)
  await node.kubelet.restart()
}
