import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { QUICK_ELECTION } from '../controller/world.ts'
import { PATIENT } from '../patience.ts'
import { listNixBuilds, untilBuilds, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import type { Controller } from './controller.ts'
import { type GatedFlake, makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import { podLogsDir } from './kubelet.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, waitForPhase } from './pods.ts'
import { type OwnWholeCluster, startWholeCluster } from './whole-cluster.ts'

const SAYS_HELLO = ['/bin/busybox', 'sh', '-c', 'echo hello; exec /bin/busybox sleep 86400']

let cluster: OwnWholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await startWholeCluster()
  node = await cluster.addNode()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

/** Elects quickly, because the previous test's controller may still hold the Lease. */
const startController = (): Promise<Controller> => cluster.startController({ flags: QUICK_ELECTION })

test('a container starts while the API server is down, and the shim reports everything once the server is back', async () => {
  await using _controller = await startController()
  const { apiServer } = cluster.controlPlane
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('away', flake)
  await untilNixBuilds(cluster, pod.namespace, { status: 'Building', buildNode: node.name })
  await apiServer.kill()
  await flake.open()
  await expect.poll(() => outputOf(pod), PATIENT).toBe('hello\n')
  await apiServer.start()

  await waitForPhase(cluster, pod, 'Running')
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', ready: { count: 1, nodes: [node.name] } })
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
  await expect.poll(() => reasonsOf(pod), PATIENT).toContain('NixBuildSucceeded')
  expect(await reasonsOf(pod)).not.toContain('Failed')
})

test('a pod starts without a controller, which updates its condition after it starts', async () => {
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  const pod = await startPod('alone', flake)
  await waitForPhase(cluster, pod, 'Running')
  await untilBuilds(cluster, node.name, pod.namespace, [{ state: 'Present' }])
  expect(await listNixBuilds(cluster, pod.namespace)).toEqual([])
  expect(await reasonsOf(pod)).not.toContain('Failed')
  expect(await imageBuilt(cluster, pod)).toBeUndefined()
  await using _controller = await startController()
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
})

test('a controller that is killed during a build updates the conditions of pods after its restart', async () => {
  await using controller = await startController()
  const flake = await makeGatedFlake(cluster)
  const pod = await startPod('killed', flake)
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'False', reason: 'Building' })
  await controller.daemon.kill()
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  expect(await imageBuilt(cluster, pod)).toMatchObject({ status: 'False', reason: 'Building' })
  await controller.daemon.start()
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
})

async function startPod(name: string, flake: GatedFlake): Promise<PodName> {
  const pod = { namespace: await cluster.createNamespace(), name }
  const recipe = flake.recipe(`registry.example/outages/${name}:1`)
  const { image } = recipe
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SAYS_HELLO }))
  return pod
}

/**
 * The output of the pod's container from the node's log file, because the API server may be down. Empty before the
 * container runs.
 */
async function outputOf({ namespace, name }: PodName): Promise<string> {
  const cwd = podLogsDir(node.bed)
  let lines = ''
  for await (const log of glob(`${namespace}_${name}_*/main/*.log`, { cwd })) lines += await readFile(join(cwd, log))
  // Lines have CRI's form: time, stream, F for a full line, text.
  return lines.replace(/^\S+ \S+ F /gm, '')
}

async function reasonsOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).map(({ reason }) => reason)
}
