import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { CONTROLLER, IMAGE_BUILT_CONDITION, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { writeOwnFlake } from '../nix/own-flake.ts'
import { copyExample } from '../node/example.ts'
import { claimPort } from './claims.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { podManifest, SLEEP, waitForPhase, waitForRollout } from './pods.ts'

const OVERLAY = join(import.meta.dirname, '../../deploy/overlays/own-flake')

test('`kubectl apply -k` starts the controller, whose image is built on pull from this flake', async () => {
  await using cluster = await startCluster()
  await cluster.installDeploy()
  await using node = await cluster.addNode({ reports: true })
  const { url } = await writeOwnFlake(node.bed)
  // Building the program may take long on a busy machine, so the pull only builds the image.
  await node.bed.run('nix', ['build', '--no-link', `${url}#enbi-controller`])
  await cluster.kubectl(['apply', '--server-side', '--kustomize', await writeOverlay(cluster, url)])
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

/**
 * Writes the overlay of a user of this cluster. It names the flake and, as the cluster has no network, the address of
 * the API server.
 */
async function writeOverlay(cluster: Cluster, flakeUrl: string): Promise<string> {
  const dir = join(cluster.access.dir, 'overlay')
  await mkdir(dir)
  const [port, healthPort] = [await claimPort(), await claimPort()]
  const { hostname, port: apiPort } = new URL(cluster.access.server)
  const template = '/spec/template'
  const container = `${template}/spec/containers/0`
  const annotation = (key: 'flakeUrl' | 'packageName') =>
    `${template}/metadata/annotations/${pointer(annotationName(key))}`
  const env = [
    { name: 'KUBERNETES_SERVICE_HOST', value: hostname },
    { name: 'KUBERNETES_SERVICE_PORT', value: apiPort },
  ]
  const deployment = [
    { op: 'replace', path: annotation('flakeUrl'), value: flakeUrl },
    // The shim does not know the stream script of this nixpkgs, so it imports the image from its conf.json.
    { op: 'replace', path: annotation('packageName'), value: 'controller-image.conf' },
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
  const hostNetwork = [{ op: 'remove', path: '/metadata/labels/pod-security.kubernetes.io~1enforce' }]
  const kustomization = {
    resources: [relative(dir, OVERLAY)],
    replicas: [{ name: 'enbi-controller', count: 1 }],
    patches: [
      { target: { kind: 'Deployment' }, patch: stringify(deployment) },
      { target: { kind: 'Namespace' }, patch: stringify(hostNetwork) },
    ],
  }
  await writeFile(join(dir, 'kustomization.yaml'), stringify(kustomization))
  return dir
}

/** Escapes a key for a JSON pointer. */
function pointer(key: string): string {
  return key.replaceAll('/', '~1')
}
