import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { PATIENT, PATIENT_BY_PROGRAM } from '../../patience.ts'
import { nixBuildManifest, untilNixBuilds } from '../../shim/cluster/shim-with-cluster.ts'
import { readStatus } from '../../shim/status/read-status.ts'
import { imageBuilt } from '../image-built.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from '../pods.ts'
import { startWholeCluster, type WholeCluster } from '../whole-cluster.ts'
import { type CountedFlake, makeCountedFlake } from './counted-flake.ts'
import { addSharingNodes, type SharingNode } from './sharing-nodes.ts'

let cluster: WholeCluster
let nodes: SharingNode[]
/** Builds nothing. */
let fetcher: SharingNode
const kept = new AsyncDisposableStack()

beforeAll(async () => {
  cluster = kept.use(await startWholeCluster({ controllerFlags: [] }))
  const all = await addSharingNodes(cluster, kept, [{}, {}, {}, { nix: { build: 'never' } }])
  nodes = all.slice(0, 3)
  const last = all.at(-1)
  if (!last) throw new Error('there are four nodes')
  fetcher = last
})
afterAll(() => kept.disposeAsync())

test('ten pods on three nodes are one build, and all nodes get the same image', async () => {
  const flake = await makeCountedFlake(cluster)
  const image = 'registry.example/share/ten:1'
  const namespace = await cluster.createNamespace()
  const pods = await startPods(flake, image, { namespace, count: 10 })
  await expect.poll(() => waitingFor(image), PATIENT).toHaveLength(2)
  const holder = await holderOf(image)
  await expect.poll(() => waitingFor(image), PATIENT).toEqual([holder.node.name, holder.node.name])
  // Any of them may have been reported first, while it evaluated.
  await untilNixBuilds(cluster, namespace, { status: 'Building', buildNode: holder.node.name })
  await flake.open()
  await Promise.all(pods.map(pod => waitForPhase(cluster, pod, 'Running')))

  expect(await flake.builds()).toBe(1)
  expect(new Set(await imageIds(image)).size).toBe(1)
  const [build] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded', ready: { count: 3 } })
  expect(build?.status.buildNode).toBe(holder.node.name)
  for (const pod of pods) {
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
    expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
  }
})

test('two namespaces that name one package differently share its build', async () => {
  const flake = await makeCountedFlake(cluster)
  const pods = await Promise.all(
    nodes.slice(0, 2).map(async ({ node }, index) => {
      const pod = { namespace: await cluster.createNamespace(), name: 'web' }
      const recipe = flake.recipe(`registry.example/share/namespace-${index}:1`)
      await cluster.apply(podManifest({ ...pod, node: node.name, image: recipe.image, recipe, command: SLEEP }))
      return pod
    }),
  )
  await expect.poll(() => flake.builds(), PATIENT).toBe(1)
  await flake.open()
  await Promise.all(pods.map(pod => waitForPhase(cluster, pod, 'Running')))
  expect(await flake.builds()).toBe(1)
})

test('a build that fails for good on one node fails on all nodes with its message, and is not repeated', async () => {
  const flake = await makeCountedFlake(cluster, { fails: true })
  const image = 'registry.example/share/fails:1'
  const namespace = await cluster.createNamespace()
  const pods = await startPods(flake, image, { namespace, count: 3 })
  await expect.poll(() => waitingFor(image), PATIENT).toHaveLength(2)
  await flake.open()
  for (const pod of pods)
    await expect
      .poll(() => failuresOf(pod), PATIENT)
      .toContainEqual(expect.stringContaining('this builder always fails'))
  expect(await flake.builds()).toBe(1)
  await deletePods(pods)
})

test('when the node that builds is killed, another one builds, and its own pods run once it is back', async () => {
  const flake = await makeCountedFlake(cluster)
  const image = 'registry.example/share/killed:1'
  const namespace = await cluster.createNamespace()
  const pods = await startPods(flake, image, { namespace, count: 3 })
  await expect.poll(() => waitingFor(image), PATIENT).toHaveLength(2)
  const holder = await holderOf(image)
  await holder.node.shim.daemon.kill()
  await expect.poll(() => flake.builds(), PATIENT).toBe(2)
  await flake.open()
  const others = pods.filter((_, index) => nodes[index] !== holder)
  await Promise.all(others.map(pod => waitForPhase(cluster, pod, 'Running')))
  await holder.node.shim.daemon.start()
  await Promise.all(pods.map(pod => waitForPhase(cluster, pod, 'Running')))
  expect(await flake.builds()).toBe(2)
  expect(new Set(await imageIds(image)).size).toBe(1)
})

test('when the shim of the node that builds is restarted, all pods run', async () => {
  const flake = await makeCountedFlake(cluster)
  const image = 'registry.example/share/restarted:1'
  const namespace = await cluster.createNamespace()
  const pods = await startPods(flake, image, { namespace, count: 3 })
  await expect.poll(() => waitingFor(image), PATIENT).toHaveLength(2)
  const holder = await holderOf(image)
  await holder.node.shim.daemon.restart()
  await expect.poll(() => flake.builds(), PATIENT).toBe(2)
  await flake.open()
  await Promise.all(pods.map(pod => waitForPhase(cluster, pod, 'Running')))
  expect(await flake.builds()).toBe(2)
  expect(new Set(await imageIds(image)).size).toBe(1)
})

test('a node that pulls later copies the image, although the node that built it has lost it since', async () => {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  const image = 'registry.example/share/later:1'
  const [first, second, third] = nodes
  if (!first || !second || !third) throw new Error('there are three nodes')
  for (const { node } of [first, second]) {
    const pod = { namespace: await cluster.createNamespace(), name: 'web' }
    const recipe = flake.recipe(image)
    await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
    await waitForPhase(cluster, pod, 'Running')
  }
  first.server.behave({ away: true })
  onTestFinished(() => first.server.behave({}))
  const pod = { namespace: await cluster.createNamespace(), name: 'web' }
  const recipe = flake.recipe(image)
  await cluster.apply(podManifest({ ...pod, node: third.node.name, image, recipe, command: SLEEP }))
  await waitForPhase(cluster, pod, 'Running')
  expect(await flake.builds()).toBe(1)
})

test('the image of a pod whose node builds nothing is built by another node', async () => {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  const pod = { namespace: await cluster.createNamespace(), name: 'web' }
  const recipe = flake.recipe('registry.example/share/fetched:1')
  await cluster.apply(podManifest({ ...pod, node: fetcher.node.name, image: recipe.image, recipe, command: SLEEP }))
  await waitForPhase(cluster, pod, 'Running')
  expect(await flake.builds()).toBe(1)
  const [build] = await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded' })
  expect(nodes.map(({ node }) => node.name)).toContain(build?.status.buildNode)
})

test('a NixBuild that selects all nodes is built once, and each node has the image before any pod', async () => {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  const namespace = await cluster.createNamespace()
  const { image: imageTag, ...recipe } = flake.recipe('registry.example/share/prepared:1')
  await cluster.apply(nixBuildManifest(namespace, 'prepared', { imageTag, ...recipe, nodes: {} }))
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded', ready: { count: 4 } })
  const ids = await Promise.all(
    [...nodes, fetcher].map(async ({ node }) => (await node.bed.cri().imageStatus(imageTag))?.id),
  )
  expect(new Set(ids).size).toBe(1)
  expect(ids).not.toContain(undefined)
  expect(await flake.builds()).toBe(1)
})

test('a node that had the image before its claim was forgotten tells others of it', async () => {
  const flake = await makeCountedFlake(cluster)
  await flake.open()
  const recipe = flake.recipe('registry.example/share/forgotten:1')
  const run = async ({ node }: SharingNode) => {
    const pod = { namespace: await cluster.createNamespace(), name: 'web' }
    const plan = { ...pod, node: node.name, image: recipe.image, recipe, command: SLEEP }
    await cluster.apply(podManifest({ ...plan, imagePullPolicy: 'Always' }))
    await waitForPhase(cluster, pod, 'Running')
  }
  const [first, second] = nodes
  if (!first || !second) throw new Error('there are three nodes')
  await run(first)
  await cluster.kubectl(['delete', 'lease', '--namespace=enbi-claims', '--selector=enbi.hrzn.ee/claim=path', '--wait'])
  // A shim remembers for an hour what it has told.
  await first.node.shim.daemon.restart()
  await run(first)
  const leases = () => cluster.kubectl(['get', 'lease', '--namespace=enbi-claims', '--output=yaml'])
  await expect.poll(leases, PATIENT_BY_PROGRAM).toContain(`enbi.hrzn.ee/nodes: ${first.node.name}`)
  await run(second)
  expect(await flake.builds()).toBe(1)
})

interface StartedPods {
  readonly namespace: string
  readonly count: number
}

/** One after another on each node. */
async function startPods(flake: CountedFlake, image: string, { namespace, count }: StartedPods): Promise<PodName[]> {
  const recipe = flake.recipe(image)
  const planned = Array.from({ length: count }, (_, index) => {
    const name = nodes[index % nodes.length]?.node.name ?? ''
    return { namespace, name: `pod-${index}`, node: name, image, recipe, command: SLEEP }
  })
  await cluster.apply(...planned.map(podManifest))
  await expect.poll(() => flake.builds(), PATIENT_BY_PROGRAM).toBeGreaterThan(0)
  return planned.map(({ name }) => ({ namespace, name }))
}

/** The nodes that the others wait for, once for each that waits. */
async function waitingFor(image: string): Promise<string[]> {
  const shown = await Promise.all(nodes.map(one => progressOf(one, image)))
  return shown.flatMap(progress => (progress?.phase === 'waiting' ? [progress.text.split(':', 1).join()] : []))
}

async function holderOf(image: string): Promise<SharingNode> {
  const [name] = await waitingFor(image)
  const holder = nodes.find(({ node }) => node.name === name)
  if (!holder) throw new Error(`no node waits for ${image}`)
  return holder
}

async function progressOf({ node }: SharingNode, image: string) {
  const { runs } = await readStatus(node.shim.socket)
  return runs.find(run => run.image === image)?.progress
}

async function imageIds(image: string): Promise<(string | undefined)[]> {
  return Promise.all(nodes.map(async ({ node }) => (await node.bed.cri().imageStatus(image))?.id))
}

async function failuresOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).filter(({ reason }) => reason === 'Failed').map(({ message }) => message)
}

async function deletePods(pods: readonly PodName[]): Promise<void> {
  for (const { namespace, name } of pods)
    await cluster.kubectl(['delete', 'pod', name, `--namespace=${namespace}`, '--wait=false'])
}
