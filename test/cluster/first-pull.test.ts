import { afterAll, beforeAll, expect, test } from 'vitest'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { listNixBuilds, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import { watchImageBuilt } from './watch-image-built.ts'
import type { WholeCluster } from './whole-cluster.ts'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

/** An annotated pod whose image exists nowhere, and whose build waits for the gate. */
async function applyColdPod(name: string, namespace?: string) {
  const flake = await makeGatedFlake(cluster)
  const image = `registry.example/first/${name}:1`
  const pod = { namespace: namespace ?? (await cluster.createNamespace()), name }
  const recipe = flake.recipe(image)
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
  return { pod, image, flake, inNamespace: `--namespace=${pod.namespace}` }
}

test('an annotated pod is Running after its first pull, and its events report a build and no failure', async () => {
  const { pod, flake, image } = await applyColdPod('cold')
  await expect.poll(() => flake.isBuilding(node), PATIENT_BY_PROGRAM).toBe(true)
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  const reasons = async () => (await podEvents(cluster, pod)).map(({ reason }) => reason).toSorted()
  await expect
    .poll(reasons, PATIENT)
    .toEqual(['Created', 'NixBuildStarted', 'NixBuildSucceeded', 'Pulled', 'Pulling', 'Scheduled', 'Started'])
  expect(await podEvents(cluster, pod)).toEqual(
    expect.arrayContaining([
      {
        type: 'Normal',
        reason: 'NixBuildStarted',
        message: `Building ${image} from ${flake.url}#gated on ${node.name}`,
      },
      {
        type: 'Normal',
        reason: 'NixBuildSucceeded',
        message: expect.stringMatching(RegExp(`^Built and loaded ${image} in [0-9.]+ m?s, [0-9.]+ MB$`)),
      },
    ]),
  )
})

test('the condition ImageBuilt of an annotated pod is False while its image is built, and True afterwards', async () => {
  const namespace = await cluster.createNamespace()
  await using watch = await watchImageBuilt(cluster, namespace)
  const { pod, flake, image } = await applyColdPod('followed', namespace)
  await expect
    .poll(() => imageBuilt(cluster, pod), PATIENT)
    .toMatchObject({
      status: 'False',
      reason: 'Building',
      message: expect.stringContaining(`${image}: being built on ${node.name} from ${flake.url}#gated`),
    })
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  await expect
    .poll(() => imageBuilt(cluster, pod), PATIENT)
    .toMatchObject({ status: 'True', reason: 'Built', message: `${image}: image loaded` })
  expect(watch.reasonsOf(pod.name).join(' ')).toMatch(/^(Pending )?(Building )+(Importing )*Built$/)
})

test('the controller creates the NixBuild of an annotated pod, whose status shows the progress and the result', async () => {
  const { pod, flake, image } = await applyColdPod('told')
  const [building] = await untilNixBuilds(cluster, pod.namespace, {
    status: 'Building',
    progress: expect.stringMatching(/^building /),
  })
  expect(building).toMatchObject({
    metadata: { labels: { 'app.kubernetes.io/managed-by': 'enbi-controller' } },
    spec: { flakeUrl: flake.url, imageTag: image, packageName: 'gated', system: 'x86_64-linux' },
    status: {
      buildNode: node.name,
      conditions: [
        { type: 'Complete', status: 'False', reason: 'Building' },
        { type: 'Success', status: 'Unknown' },
      ],
    },
  })
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  const [built] = await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded' })
  const { id, size } = await node.bed.cri().waitForImage(image)
  expect(built).toMatchObject({
    metadata: { uid: building?.metadata.uid },
    status: {
      buildNode: node.name,
      imageDigest: id,
      imageSize: size,
      buildJobName: expect.any(String),
      ready: { count: 1, nodes: [node.name] },
      conditions: [
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
        { type: 'Success', status: 'True', reason: 'ResultSuccess' },
      ],
    },
  })
})

test('`kubectl get nixbuild` and `nb` print image tag, system, status, build node and age', async () => {
  const { pod, flake, image, inNamespace } = await applyColdPod('printed')
  await untilNixBuilds(cluster, pod.namespace, { status: 'Building' })
  const building = await cluster.kubectl(['get', 'nixbuild', inNamespace])
  await flake.open()
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded' })
  const built = await cluster.kubectl(['get', 'nb', inNamespace])
  const [nixBuild] = await listNixBuilds(cluster, pod.namespace)
  for (const [table, status] of [
    [building, 'Building'],
    [built, 'Succeeded'],
  ] as const) {
    const [head, row, ...rest] = table.split('\n').map(line => line.split(/ {2,}/))
    expect(head).toEqual(['NAME', 'IMAGE TAG', 'SYSTEM', 'STATUS', 'BUILD NODE', 'AGE'])
    const { name } = nixBuild?.metadata ?? {}
    expect(row).toEqual([name, image, 'x86_64-linux', status, node.name, expect.stringMatching(/^[0-9ms]+$/)])
    expect(rest).toEqual([])
  }
})

test('`kubectl describe pod` shows the progress and the result of a build', async () => {
  const { pod, flake, image, inNamespace } = await applyColdPod('described')
  const describe = () => cluster.kubectl(['describe', 'pod', pod.name, inNamespace])
  await expect.poll(describe, PATIENT_BY_PROGRAM).toMatch(/Waiting\n(.*\n)*.*enbi\.hrzn\.ee\/ImageBuilt +False/)
  await expect.poll(describe, PATIENT_BY_PROGRAM).toMatch(/Normal +NixBuildStarted .* enbi-shim +Building /)
  await flake.open()
  await waitForPhase(cluster, pod, 'Running')
  await expect.poll(describe, PATIENT_BY_PROGRAM).toMatch(/enbi\.hrzn\.ee\/ImageBuilt +True/)
  await expect.poll(describe, PATIENT_BY_PROGRAM).toContain(`Built and loaded ${image} in `)
})
