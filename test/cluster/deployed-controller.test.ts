import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { CONTROLLER, IMAGE_BUILT_CONDITION, SYSTEM_NAMESPACE } from '../../kube/names.ts'
import { copyExample } from '../node/example.ts'
import { recipeAnnotations } from '../node/recipe-pull.ts'
import { claimPort } from './claims.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { writeControllerFlake } from './controller-image.ts'
import { podManifest, SLEEP, waitForPhase, waitForRollout } from './pods.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const IMAGE = 'registry.example/enbi/controller:1'

test('`kubectl apply -k deploy` brings up the controller, whose own image is built on pull', async () => {
  await using cluster = await startCluster()
  await cluster.kubectl(['apply', '--kustomize', await writeOverlay(cluster)])
  await using node = await cluster.addNode({ reports: true })
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

/** What a user of this cluster would have to write: which image, and where the API server is, for want of a cluster network. */
async function writeOverlay(cluster: Cluster): Promise<string> {
  const dir = join(cluster.access.dir, 'overlay')
  await mkdir(dir)
  const flakeUrl = await writeControllerFlake(join(cluster.access.dir, 'controller-image'))
  const annotations = recipeAnnotations({ image: IMAGE, flakeUrl, packageName: 'image' })
  const port = await claimPort()
  const { hostname, port: apiPort } = new URL(cluster.access.server)
  const template = '/spec/template'
  const container = `${template}/spec/containers/0`
  const env = [
    { name: 'KUBERNETES_SERVICE_HOST', value: hostname },
    { name: 'KUBERNETES_SERVICE_PORT', value: apiPort },
  ]
  const deployment = [
    { op: 'add', path: `${template}/metadata/annotations`, value: annotations },
    { op: 'add', path: `${template}/spec/hostNetwork`, value: true },
    { op: 'add', path: `${container}/env`, value: env },
    { op: 'replace', path: `${container}/args`, value: [`--listen=0.0.0.0:${port}`] },
    { op: 'replace', path: `${container}/ports/0/containerPort`, value: port },
  ]
  const hostNetwork = [{ op: 'remove', path: '/metadata/labels/pod-security.kubernetes.io~1enforce' }]
  const kustomization = {
    resources: [relative(dir, DEPLOY)],
    images: [{ name: 'enbi-controller', newName: IMAGE.split(':')[0], newTag: IMAGE.split(':')[1] }],
    replicas: [{ name: 'enbi-controller', count: 1 }],
    patches: [
      { target: { kind: 'Deployment' }, patch: stringify(deployment) },
      { target: { kind: 'Namespace' }, patch: stringify(hostNetwork) },
    ],
  }
  await writeFile(join(dir, 'kustomization.yaml'), stringify(kustomization))
  return dir
}
