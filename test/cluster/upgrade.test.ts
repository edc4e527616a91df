import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { IMAGE_BUILT_CONDITION } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { QUICK_ELECTION } from '../controller/world.ts'
import { SPEC } from '../deploy/nixbuilds.ts'
import { PATIENCE, PATIENT } from '../patience.ts'
import { type OwnCluster, startCluster } from './cluster.ts'
import type { Controller } from './controller.ts'
import { makeGatedFlake } from './gated-flake.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'

/** A checkout of an older version with its packages: by hand, its programs run, too. */
const OLDER = process.env.UPGRADE_FROM
const FIRST_VERSION = await readFile(join(import.meta.dirname, 'deploy/0.1.0.yaml'), 'utf8')
const STORED = { namespace: 'default', name: 'made-by-hand' }
const parts = new AsyncDisposableStack()
let cluster: OwnCluster
let node: ClusterNode
let controller: Controller | undefined

beforeAll(async () => {
  cluster = parts.use(await startCluster())
  await cluster.apply(FIRST_VERSION)
  await established('nixbuilds')
  // As the first version wrote it: status.nodes is gone since then.
  const status = { status: 'Succeeded', nodes: [{ name: 'node-1' }] }
  const build = { apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixBuild', metadata: STORED, spec: SPEC, status }
  const input = JSON.stringify(build)
  await cluster.kubectl(['create', '--filename=-'], { input })
  await cluster.kubectl(['replace', '--subresource=status', '--filename=-'], { input })
  node = parts.use(await cluster.addNode({ reports: true }))
  if (OLDER !== undefined)
    controller = parts.use(await cluster.startController({ program: mainOf(OLDER, 'controller') }))
})
afterAll(() => parts.disposeAsync())

test('pods start while the shims are newer than the part of the cluster', async () => {
  const pod = await startPod('newer')
  await waitForPhase(cluster, pod, 'Running')
  await expect.poll(() => reasonsOf(pod), PATIENT).toContain('NixBuildSucceeded')
  expect(await reasonsOf(pod)).not.toContain('Failed')
})

test('pods start while only the custom resources are new', async () => {
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '--kustomize', 'deploy/crd'])
  await established('nixbuilds', 'nixnodes')
  const pod = await startPod('between')
  await waitForPhase(cluster, pod, 'Running')
  expect(await reasonsOf(pod)).not.toContain('Failed')
})

test('shims that run report as soon as the part of the cluster is new, and older NixBuilds stay', async () => {
  await controller?.[Symbol.asyncDispose]()
  await cluster.installDeploy()
  controller = parts.use(await cluster.startController({ flags: QUICK_ELECTION }))
  const pod = await startPod('reported')
  await cluster.kubectl([
    ...['wait', `--for=condition=${IMAGE_BUILT_CONDITION}`, `pod/${pod.name}`, `--namespace=${pod.namespace}`],
    `--timeout=${PATIENCE}`,
  ])
  expect(await cluster.kubectl(['get', 'nixnode', node.name, '-o', 'name'])).toContain(node.name)
  // What the new version does not know is left out, and everything else is read.
  expect(await cluster.client().get(nixBuilds, STORED)).toMatchObject({ spec: SPEC, status: { status: 'Succeeded' } })
})

test('pods start while the shims are older than the part of the cluster', async () => {
  // An older shim has no right to what it writes, as here to everything but its Lease.
  if (OLDER === undefined) await cluster.kubectl(['delete', 'clusterrole', 'enbi-shim'])
  else node = parts.use(await cluster.addNode({ reports: true, shim: { program: mainOf(OLDER, 'shim') } }))
  const pod = await startPod('older')
  await waitForPhase(cluster, pod, 'Running')
  expect(await reasonsOf(pod)).not.toContain('Failed')
})

test('pods start after a rollback of the part of the cluster, and NixBuilds stay', async () => {
  await controller?.[Symbol.asyncDispose]()
  await cluster.apply(FIRST_VERSION)
  const pod = await startPod('back')
  await waitForPhase(cluster, pod, 'Running')
  expect(await reasonsOf(pod)).not.toContain('Failed')
  const builds = await cluster.kubectl(['get', 'nixbuilds', '--all-namespaces', '-o', 'name'])
  expect(builds.split('\n').length).toBeGreaterThan(1)
  expect(builds).toContain(STORED.name)
})

function mainOf(checkout: string, program: string): string {
  return join(checkout, program, 'main.ts')
}

function established(...plurals: readonly string[]): Promise<string> {
  const crds = plurals.map(plural => `crd/${plural}.enbi.hrzn.ee`)
  return cluster.kubectl(['wait', '--for=condition=Established', ...crds, `--timeout=${PATIENCE}`])
}

async function startPod(name: string): Promise<PodName> {
  const pod = { namespace: await cluster.createNamespace(), name }
  const image = `registry.example/upgrade/${name}:1`
  const flake = await makeGatedFlake(cluster)
  await flake.open()
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe: flake.recipe(image), command: SLEEP }))
  return pod
}

async function reasonsOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).map(({ reason }) => reason)
}
