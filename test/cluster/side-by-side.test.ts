import { afterAll, beforeAll, expect, test } from 'vitest'
import { allAnnotations } from '../node/recipe-pull.ts'
import { PATIENT } from '../patience.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { makeGatedFlake } from './gated-flake.ts'
import type { ClusterNode } from './node.ts'
import { podEvents, SLEEP, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode({ kubeletConfig: { serializeImagePulls: true } })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('a kubelet that pulls one image at a time does not serialize the builds of a pod with two images', async () => {
  const flakes = await Promise.all(['first', 'second'].map(() => makeGatedFlake(cluster)))
  const recipes = flakes.map((flake, index) => flake.recipe(`registry.example/side/container-${index}:1`))
  const pod = { namespace: await cluster.createNamespace(), name: 'side-by-side' }
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...pod, annotations: allAnnotations(recipes) },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node.name },
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: recipes.map(({ image }, index) => ({ name: `container-${index}`, image, command: SLEEP })),
    },
  })
  const building = () => Promise.all(flakes.map(flake => flake.isBuilding(node)))
  await expect.poll(building, PATIENT).toEqual([true, true])
  const pulling = (await podEvents(cluster, pod)).filter(({ reason }) => reason === 'Pulling')
  expect(pulling).toHaveLength(1)
  await Promise.all(flakes.map(flake => flake.open()))
  await waitForPhase(cluster, pod, 'Running')
  for (const { image } of recipes) expect(await countBuilds(node.shim, image)).toBe(1)
  expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
})
