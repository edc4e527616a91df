import { cp, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { CONTROLLER, IMAGE_BUILT_CONDITION, SYSTEM_NAMESPACE, shimLeaseName } from '../../kube/resources/names.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { writeOwnFlake } from '../nix/own-flake.ts'
import { copyExample } from '../node/example.ts'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { claimPort } from './claims.ts'
import { type Cluster, startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'
import { podManifest, SLEEP, waitForPhase, waitForRollout } from './pods.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const TOKEN_NAMESPACE = 'enbi-token'
let cluster: Cluster
let node: ClusterNode
/** The folder on the node to which the DaemonSet copies the token. */
let tokenDir: string

beforeAll(async () => {
  cluster = await startCluster()
  await cluster.installDeploy()
  tokenDir = join(cluster.access.dir, 'enbi-token')
  node = await cluster.addNode({ reports: { kubeconfig: await writeShimKubeconfig() } })
  const { url } = await writeOwnFlake(node.bed)
  // Building the program may take long on a busy machine, so the pull only builds the image.
  await node.bed.run('nix', ['build', '--no-link', `${url}#enbi-controller`])
  await cluster.kubectl(['apply', '--server-side', '--kustomize', await writeOverlay(url)])
})

afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

test('the DaemonSet for tokens, whose image is built on pull before the shim has a token, gives it one, and a new one before its pod is replaced', async () => {
  const first = await vi.waitFor(readToken, PATIENT)
  expect((await stat(join(tokenDir, 'token'))).mode & 0o777).toBe(0o600)
  expect(first.claims).toMatchObject({ namespace: TOKEN_NAMESPACE, node: { name: node.name } })
  await expect.poll(() => mayUse(first.token), PATIENT_BY_PROGRAM).toBe(true)
  const lease = ['get', 'lease', shimLeaseName(node.name), `--namespace=${SYSTEM_NAMESPACE}`, '--output=name']
  await expect.poll(() => cluster.kubectl(lease).catch(() => ''), PATIENT_BY_PROGRAM).not.toBe('')
  await expect(claimLease(first.token, 'other')).rejects.toThrow(/the shim of .* may only write its own Lease/)

  await cluster.kubectl(['rollout', 'restart', 'daemonset/enbi-token', `--namespace=${TOKEN_NAMESPACE}`])
  await expect.poll(() => mayUse(first.token), PATIENT_BY_PROGRAM).toBe(false)
  await expect.poll(async () => (await readToken()).claims.pod.name, PATIENT).not.toBe(first.claims.pod.name)
  expect(await mayUse((await readToken()).token)).toBe(true)
  await cluster.kubectl(['delete', 'nixnode', node.name])
  const nixNode = ['get', 'nixnode', node.name, '--output=name']
  await expect.poll(() => cluster.kubectl(nixNode).catch(() => ''), PATIENT_BY_PROGRAM).not.toBe('')
})

test('`kubectl apply -k` starts the controller, whose image is built on pull from this flake', async () => {
  await waitForRollout(cluster, { namespace: SYSTEM_NAMESPACE, name: CONTROLLER })
  const image = 'registry.example/team/served:1'
  const { url: flakeUrl } = await copyExample('hello', node.bed.dir)
  const recipe = { image, flakeUrl, packageName: 'image' }
  const pod = { namespace: await cluster.createNamespace(), name: 'served' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
  await waitForPhase(cluster, pod, 'Running')
  const inNamespace = `--namespace=${pod.namespace}`
  await cluster.kubectl(['wait', `--for=condition=${IMAGE_BUILT_CONDITION}`, `pod/${pod.name}`, inNamespace])
  expect(
    await cluster.kubectl(['get', 'nixbuilds', '--output=jsonpath={.items[*].metadata.labels}', inNamespace]),
  ).toContain('enbi-controller')
})

/** A kubeconfig whose token and CA the DaemonSet will bring. */
async function writeShimKubeconfig(): Promise<string> {
  const path = join(cluster.access.dir, 'shim-kubeconfig')
  const config = {
    'current-context': 'shim',
    contexts: [{ name: 'shim', context: { cluster: 'shim', user: 'shim' } }],
    clusters: [
      { name: 'shim', cluster: { server: cluster.access.server, 'certificate-authority': 'enbi-token/ca.crt' } },
    ],
    users: [{ name: 'shim', user: { tokenFile: 'enbi-token/token' } }],
  }
  await writeFile(path, stringify(config))
  return path
}

const name = v.object({ name: v.string() })
const claimsSchema = v.object({ namespace: v.string(), pod: name, node: name })

async function readToken() {
  const token = await readFile(join(tokenDir, 'token'), 'utf8')
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
  return { token, claims: v.parse(v.object({ 'kubernetes.io': claimsSchema }), JSON.parse(claims))['kubernetes.io'] }
}

async function mayUse(token: string): Promise<boolean> {
  const kubeconfig = await cluster.kubeconfig({ token })
  return cluster.kubectl(['get', 'nixnodes'], { kubeconfig }).then(
    () => true,
    () => false,
  )
}

/** Tries to write the Lease of a node's shim. */
async function claimLease(token: string, holder: string): Promise<string> {
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(holder) },
    spec: { holderIdentity: holder, leaseDurationSeconds: 60 },
  }
  return cluster.kubectl(['create', '--filename=-'], {
    kubeconfig: await cluster.kubeconfig({ token }),
    input: stringify(lease),
  })
}

/**
 * Writes the overlay of a user of this cluster, with tokens. It names the flake and, as the cluster has no network, the
 * address of the API server.
 */
async function writeOverlay(flakeUrl: string): Promise<string> {
  const deploy = join(cluster.access.dir, 'deploy')
  await cp(DEPLOY, deploy, { recursive: true })
  const [port, healthPort] = [await claimPort(), await claimPort()]
  const { hostname, port: apiPort } = new URL(cluster.access.server)
  const template = '/spec/template'
  const container = `${template}/spec/containers/0`
  const annotation = (key: 'flakeUrl' | 'packageName', value: string) => {
    return { op: 'replace', path: `${template}/metadata/annotations/${pointer(annotationName(key))}`, value }
  }
  const env = [
    { name: 'KUBERNETES_SERVICE_HOST', value: hostname },
    { name: 'KUBERNETES_SERVICE_PORT', value: apiPort },
  ]
  // The shim does not know the stream script of this nixpkgs, so it imports the images from their conf.json.
  const recipe = (image: string) => [annotation('flakeUrl', flakeUrl), annotation('packageName', `${image}.conf`)]
  const deployment = [
    ...recipe('controller-image'),
    { op: 'add', path: `${template}/spec/hostNetwork`, value: true },
    { op: 'add', path: `${container}/env`, value: env },
    {
      op: 'replace',
      path: `${container}/args`,
      value: [`--listen=0.0.0.0:${port}`, `--health-listen=0.0.0.0:${healthPort}`],
    },
    { op: 'replace', path: `${container}/ports/0/containerPort`, value: port },
    { op: 'replace', path: `${container}/ports/1/containerPort`, value: healthPort },
  ]
  const daemonSet = [
    ...recipe('token-image'),
    { op: 'replace', path: `${template}/spec/volumes/1/hostPath/path`, value: tokenDir },
  ]
  const hostNetwork = [{ op: 'remove', path: '/metadata/labels/pod-security.kubernetes.io~1enforce' }]
  const dir = join(deploy, 'overlays/own-flake')
  const file = join(dir, 'kustomization.yaml')
  const example = v.parse(v.looseObject({ patches: v.array(v.unknown()) }), parse(await readFile(file, 'utf8')))
  const patches = [
    { target: { kind: 'Deployment' }, patch: stringify(deployment) },
    { target: { kind: 'DaemonSet' }, patch: stringify(daemonSet) },
    { target: { kind: 'Namespace', name: SYSTEM_NAMESPACE }, patch: stringify(hostNetwork) },
  ]
  const changed = {
    ...example,
    components: ['../../components/token'],
    replicas: [{ name: CONTROLLER, count: 1 }],
    patches: [...example.patches, ...patches],
  }
  await writeFile(file, stringify(changed))
  return dir
}

/** Escapes a key for a JSON pointer. */
function pointer(key: string): string {
  return key.replaceAll('/', '~1')
}
