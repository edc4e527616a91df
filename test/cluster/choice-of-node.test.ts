import { chmod, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { annotationName } from '../../recipes/annotations.ts'
import { PATIENT } from '../patience.ts'
import { listNixBuilds, nixBuildManifest, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podManifest } from './pods.ts'
import { startWholeCluster, type WholeCluster } from './whole-cluster.ts'

const REPELLED = { 'example.com/pool': 'serving' }

let cluster: WholeCluster
let builder: ClusterNode

beforeAll(async () => {
  cluster = await startWholeCluster({ controllerFlags: ['--node-repel=example.com/pool=serving'] })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('a NixBuild that a user created waits for the first node that is not excluded', async () => {
  const namespace = await addNixBuild(cluster, 'first')
  await untilWaiting(cluster, namespace, 'the cluster has no node')
  await cluster.addNode({ name: 'a-repelled', labels: REPELLED })
  builder = await cluster.addNode({ name: 'b-builder' })
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: builder.name })
})

test('a NixBuild that a user created shows why it waits while no node may build it, and is built as soon as one may', async () => {
  await cluster.kubectl(['cordon', builder.name])
  onTestFinished(() => uncordon(builder))
  const namespace = await addNixBuild(cluster, 'waiting')
  const reasons = ['1 excluded by --node-repel', '1 cordoned']
  for (const reason of ['of 2 nodes for x86_64-linux', ...reasons]) await untilWaiting(cluster, namespace, reason)
  await uncordon(builder)
  await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: builder.name })
})

test('a NixBuild that a user created for a system that no node has shows why it waits', async () => {
  const namespace = await addNixBuild(cluster, 'foreign', 'aarch64-linux')
  await untilWaiting(cluster, namespace, 'no node is aarch64-linux; there are x86_64-linux')
})

test.concurrent("a pod whose annotations name a system other than its node's gets one event, even if the kubelet retries", async ({
  expect,
}) => {
  const flake = await makeGatedFlake(cluster)
  const recipe = flake.recipe('registry.example/choice/annotated:1')
  const pod = { namespace: await cluster.createNamespace(), name: 'annotated' }
  const annotations = { [annotationName('system')]: 'aarch64-linux' }
  await cluster.apply(podManifest({ ...pod, node: builder.name, image: recipe.image, recipe, annotations }))
  const message = expect.stringContaining(`is for aarch64-linux, and node ${builder.name} is x86_64-linux`)
  await expect
    .poll(() => imageBuilt(cluster, pod), PATIENT)
    .toMatchObject({ status: 'False', reason: 'Failed', message })
  await expect.poll(() => refusals(pod), PATIENT).toEqual([2])
  expect(await timesOf(pod, 'NixBuildUnsupported')).toEqual([1])
  expect(await listNixBuilds(cluster, pod.namespace)).toEqual([])
  expect(await flake.isBuilding(builder)).toBe(false)
})

test.concurrent('a pod whose flake has no package for the system of its node gets one event, and Nix runs only once for it', async ({
  expect,
}) => {
  const dir = await mkdtemp(join(cluster.access.dir, 'foreign-'))
  await chmod(dir, 0o755)
  await writeFile(
    join(dir, 'flake.nix'),
    '{ outputs = _: { packages.aarch64-linux.image = throw "never asked for"; }; }',
  )
  const recipe = { image: 'registry.example/choice/lacking:1', flakeUrl: `path:${dir}`, packageName: 'image' }
  const pod = { namespace: await cluster.createNamespace(), name: 'lacking' }
  await cluster.apply(podManifest({ ...pod, node: builder.name, image: recipe.image, recipe }))
  const message = expect.stringContaining('x86_64-linux')
  await expect
    .poll(() => imageBuilt(cluster, pod), PATIENT)
    .toMatchObject({ status: 'False', reason: 'Failed', message })
  await expect.poll(() => refusals(pod), PATIENT).toEqual([2])
  expect(await timesOf(pod, 'NixBuildFailed')).toHaveLength(1)
  await expect
    .poll(() => listNixBuilds(cluster, pod.namespace), PATIENT)
    .toMatchObject([{ status: { status: 'Failed', conditions: [{}, { reason: 'ResultFailure', message }] } }])
  expect(await countBuilds(builder.shim, recipe.image)).toBe(1)
})

async function uncordon({ name }: ClusterNode): Promise<void> {
  await cluster.kubectl(['uncordon', name])
}

/** Resolves to the namespace of the NixBuild. */
async function addNixBuild(on: WholeCluster, name: string, system = 'x86_64-linux'): Promise<string> {
  const namespace = await on.createNamespace()
  const flake = await makeGatedFlake(on)
  await flake.open()
  const { image: imageTag, ...spec } = flake.recipe(`registry.example/choice/${name}:1`)
  await on.apply(nixBuildManifest(namespace, name, { imageTag, ...spec, system }))
  return namespace
}

async function untilWaiting(on: WholeCluster, namespace: string, reason: string): Promise<void> {
  const texts = { reason: 'NoNode', message: expect.stringContaining(reason) }
  const conditions = [
    { type: 'Complete', status: 'False', ...texts },
    { type: 'Success', status: 'Unknown', ...texts },
  ]
  await untilNixBuilds(on, namespace, { status: 'Pending', conditions })
}

const EventList = v.object({
  items: v.array(v.object({ reason: v.string(), message: v.string(), count: v.optional(v.number(), 1) })),
})

async function eventsOf({ namespace, name }: PodName): Promise<v.InferOutput<typeof EventList>['items']> {
  const about = new URLSearchParams({ fieldSelector: `involvedObject.kind=Pod,involvedObject.name=${name}` })
  return v.parse(EventList, await cluster.read(`/api/v1/namespaces/${namespace}/events?${about}`)).items
}

/** The count of each event with that reason. */
async function timesOf(pod: PodName, reason: string): Promise<number[]> {
  return (await eventsOf(pod)).filter(event => event.reason === reason).map(({ count }) => count)
}

/** The count of each error that the kubelet got. It retries after ten seconds. */
async function refusals(pod: PodName): Promise<number[]> {
  const events = await eventsOf(pod)
  return events.filter(({ message }) => message.startsWith('Failed to pull image')).map(({ count }) => count)
}
