import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { copyExample, lockExample } from '../node/example.ts'
import { writePauseImage } from '../node/pause-image.ts'
import { PATIENCE, PATIENT } from '../patience.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'
import { podEvents, podManifest, SLEEP, waitForPhase, waitForRollout } from './pods.ts'
import { useCluster } from './use-cluster.ts'

let cluster: Cluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useCluster()
  node = await cluster.addNode()
  return async () => {
    await node[Symbol.asyncDispose]()
    await cluster[Symbol.asyncDispose]()
  }
})

test('an annotated pod runs after its first pull', async () => {
  const image = 'registry.example/team/hello:1'
  const { url: flakeUrl } = await lockExample(await copyExample('hello', node.bed.dir), node.bed.run)
  const recipe = { image, flakeUrl, packageName: 'image' }
  const pod = { namespace: await cluster.createNamespace(), name: 'hello' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
  await waitForPhase(cluster, pod, 'Running')
  const events = await podEvents(cluster, pod)
  expect(events.map(event => event.reason).toSorted()).toEqual(['Created', 'Pulled', 'Pulling', 'Scheduled', 'Started'])
})

test('a pod without annotations runs an image that containerd has', async () => {
  const image = 'registry.example/ordinary:1'
  await importImage(image)
  const pod = { namespace: await cluster.createNamespace(), name: 'ordinary' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image, imagePullPolicy: 'Never' }))
  await waitForPhase(cluster, pod, 'Running')
})

test('kubectl prints the log of a pod', async () => {
  const image = 'registry.example/talking:1'
  await importImage(image)
  const pod = { namespace: await cluster.createNamespace(), name: 'talking' }
  const command = ['/bin/busybox', 'echo', 'one']
  await cluster.apply(podManifest({ ...pod, node: node.name, image, command, imagePullPolicy: 'Never' }))
  await waitForPhase(cluster, pod, 'Succeeded')
  expect(await cluster.kubectl(['logs', pod.name, `--namespace=${pod.namespace}`])).toBe('one')
})

test('a Deployment starts its pods, which get a token of their service account', async () => {
  const image = 'registry.example/deployed:1'
  await importImage(image)
  const namespace = await cluster.createNamespace()
  const labels = { app: 'deployed' }
  const nodeSelector = { 'kubernetes.io/hostname': node.name }
  const container = { name: 'main', image, imagePullPolicy: 'Never' }
  const template = { metadata: { labels }, spec: { containers: [container], nodeSelector } }
  await cluster.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'deployed', namespace },
    spec: { replicas: 2, selector: { matchLabels: labels }, template },
  })
  await waitForRollout(cluster, { namespace, name: 'deployed' })
})

test('a token that is bound to a node carries the name of the node', async () => {
  const namespace = await cluster.createNamespace()
  const token = await cluster.createToken({ namespace, serviceAccount: 'default', node: node.name })
  const kubeconfig = await cluster.kubeconfig({ token })
  const answer = JSON.parse(await cluster.kubectl(['auth', 'whoami', '--output=json'], { kubeconfig }))
  expect(answer.status.userInfo.extra['authentication.kubernetes.io/node-name']).toEqual([node.name])
})

test('a node can be without a shim and have labels, and becomes NotReady soon if its kubelet is killed', async () => {
  await using plain = await cluster.addNode({ withoutShim: true, labels: { 'example.com/kind': 'plain' } })
  expect(() => plain.shim).toThrow('has no shim')
  const found = await cluster.kubectl(['get', 'nodes', '--selector=example.com/kind=plain', '--output=name'])
  expect(found).toBe(`node/${plain.name}`)
  const pod = { namespace: await cluster.createNamespace(), name: 'nowhere' }
  await cluster.apply(podManifest({ ...pod, node: plain.name, image: '127.0.0.1:9/nowhere:1' }))
  await vi.waitFor(
    async () => expect((await podEvents(cluster, pod)).map(event => event.reason)).toContain('Failed'),
    PATIENT,
  )
  await plain.kubelet.kill()
  await cluster.kubectl(['wait', '--for=condition=Ready=Unknown', `node/${plain.name}`, `--timeout=${PATIENCE}`])
})

async function importImage(name: string): Promise<void> {
  const archive = join(node.bed.dir, `${name.replaceAll(/\W/g, '-')}.tar`)
  await writePauseImage(archive, name)
  await node.bed.importImage(archive, name)
}
