import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyExample, lockExample } from '../node/example.ts'
import { type PodRecipe, recipeAnnotations } from '../node/recipe-pull.ts'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { listNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, waitForPhase, waitForRollout } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

/** Prints the text of its code, and ends when the file /end exists. */
const COMMAND = ['/bin/busybox', 'sh', '-c', '/bin/hello; until busybox test -e /end; do busybox sleep 0.1; done']

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useWholeCluster()
  node = await cluster.addNode()
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('if the flake of a tag changes, a new pod runs the new code and an old pod keeps the old code, even after a restart', async () => {
  const image = 'registry.example/changed/app:1'
  const [one, two] = [await flakeThatPrints('one'), await flakeThatPrints('two')]
  const namespace = await cluster.createNamespace()
  const [old, next, last] = ['old', 'next', 'last'].map(name => ({ namespace, name })) as [PodName, PodName, PodName]
  const apply = (pod: PodName, flakeUrl: string) => {
    const recipe = { image, flakeUrl, packageName: 'image' }
    const policies = { imagePullPolicy: 'IfNotPresent', restartPolicy: 'Always' } as const
    return cluster.apply(podManifest({ ...pod, ...policies, node: node.name, image, recipe, command: COMMAND }))
  }
  await apply(old, one)
  await waitForPhase(cluster, old, 'Running')
  await apply(next, two)
  await waitForPhase(cluster, next, 'Running')
  await expect.poll(() => said(next), PATIENT_BY_PROGRAM).toBe('two')
  expect(await said(old)).toBe('one')
  expect(await inPod(old, '/bin/hello')).toBe('one')
  expect(await restarts(old)).toBe(0)

  await inPod(old, '/bin/busybox', 'touch', '/end')
  await expect.poll(() => restarts(old), PATIENT_BY_PROGRAM).toBe(1)
  await expect.poll(() => said(old), PATIENT_BY_PROGRAM).toBe('one')
  await apply(last, two)
  await waitForPhase(cluster, last, 'Running')
  await expect.poll(() => said(last), PATIENT_BY_PROGRAM).toBe('two')

  for (const pod of [old, next, last]) {
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
    expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
  }
  expect((await listNixBuilds(cluster, namespace)).map(({ spec }) => spec.flakeUrl).toSorted()).toEqual(
    [one, two].toSorted(),
  )
})

test('an unlocked flake that has changed is rebuilt for a pod with the pull policy Always, but not with IfNotPresent', async () => {
  const image = 'registry.example/changed/unlocked:1'
  const flake = await copyExample('hello', node.bed.dir)
  const recipe = { image, flakeUrl: flake.url, packageName: 'image' }
  const namespace = await cluster.createNamespace()
  const run = async (name: string, imagePullPolicy: 'Always' | 'IfNotPresent') => {
    const pod = { namespace, name }
    await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: COMMAND, imagePullPolicy }))
    await waitForPhase(cluster, pod, 'Running')
    return pod
  }
  await writeFlake(flake.dir, 'five')
  const first = await run('first', 'IfNotPresent')
  await expect.poll(() => said(first), PATIENT_BY_PROGRAM).toBe('five')
  await writeFlake(flake.dir, 'six')
  const builds = await countBuilds(node.shim, image)
  const second = await run('second', 'IfNotPresent')
  await expect.poll(() => said(second), PATIENT_BY_PROGRAM).toBe('five')
  expect(await countBuilds(node.shim, image)).toBe(builds)
  const third = await run('third', 'Always')
  await expect.poll(() => said(third), PATIENT_BY_PROGRAM).toBe('six')
  expect(await inPod(first, '/bin/hello')).toBe('five')
})

test('a Deployment whose annotation is changed rolls over to the new code, and its NixBuilds are deleted together with it', async () => {
  const image = 'registry.example/changed/deployed:1'
  const deployment = { namespace: await cluster.createNamespace(), name: 'deployed' }
  const inNamespace = `--namespace=${deployment.namespace}`
  for (const text of ['three', 'four']) {
    const flakeUrl = await flakeThatPrints(text)
    await cluster.apply(deploymentManifest(deployment, { image, flakeUrl, packageName: 'image' }))
    await waitForRollout(cluster, deployment)
    await expect
      .poll(() => cluster.kubectl(['logs', 'deployment/deployed', inNamespace]), PATIENT_BY_PROGRAM)
      .toBe(text)
  }
  const owners = async () => {
    const builds = await listNixBuilds(cluster, deployment.namespace)
    return builds.map(({ metadata, status }) => [status.status, ...metadata.ownerReferences.map(({ kind }) => kind)])
  }
  await expect.poll(owners, PATIENT).toEqual([
    ['Succeeded', 'ReplicaSet'],
    ['Succeeded', 'ReplicaSet'],
  ])
  await cluster.kubectl(['delete', 'deployment', deployment.name, inNamespace])
  await expect.poll(owners, PATIENT).toEqual([])
})

/** A locked flake whose image prints the text. */
async function flakeThatPrints(text: string): Promise<string> {
  const flake = await copyExample('hello', node.bed.dir)
  await writeFlake(flake.dir, text)
  return (await lockExample(flake, node.bed.run)).url
}

/** Writes the example's flake with that text and without its pauses. */
async function writeFlake(dir: string, text: string): Promise<void> {
  const file = join(dir, 'flake.nix')
  const flake = await readFile(file, 'utf8')
  await writeFile(file, flake.replace(/echo "[^"]*"' >>/, `echo "${text}"' >>`).replaceAll('sleep 1\n', 'true\n'))
}

function said({ namespace, name }: PodName): Promise<string> {
  return cluster.kubectl(['logs', name, `--namespace=${namespace}`])
}

function inPod({ namespace, name }: PodName, ...command: string[]): Promise<string> {
  return cluster.kubectl(['exec', name, `--namespace=${namespace}`, '--', ...command])
}

async function restarts({ namespace, name }: PodName): Promise<number> {
  const path = '--output=jsonpath={.status.containerStatuses[0].restartCount}'
  return Number(await cluster.kubectl(['get', 'pod', name, `--namespace=${namespace}`, path]))
}

function deploymentManifest(metadata: PodName, recipe: PodRecipe): object {
  const labels = { app: metadata.name }
  const template = {
    metadata: { labels, annotations: recipeAnnotations(recipe) },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node.name },
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: [{ name: 'main', image: recipe.image, command: COMMAND }],
    },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  }
}
