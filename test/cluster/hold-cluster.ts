// Starts a cluster with a node and a running pod, and prints their folders and the pod's address as JSON. Then waits to
// be killed.
import { join } from 'node:path'
import { writePauseImage } from '../node/pause-image.ts'
import { startCluster } from './cluster.ts'
import { podManifest, waitForPhase } from './pods.ts'

await using cluster = await startCluster()
await using node = await cluster.addNode()

const image = 'registry.example/held:1'
const archive = join(node.bed.dir, 'held.tar')
await writePauseImage(archive, image)
await node.bed.importImage(archive, image)

const pod = { namespace: await cluster.createNamespace(), name: 'held' }
await cluster.apply(podManifest({ ...pod, node: node.name, image, imagePullPolicy: 'Never' }))
await waitForPhase(cluster, pod, 'Running')
const address = await cluster.kubectl([
  ...['get', 'pod', pod.name, `--namespace=${pod.namespace}`],
  '--output=jsonpath={.status.podIP}',
])
process.stdout.write(`${JSON.stringify({ dirs: [cluster.access.dir, node.bed.dir], address })}\n`)
await new Promise(() => {})
