// Run as a program of its own: ENBI_KUBERNETES_PROGRAMS in its environment chooses the Kubernetes.
import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../../bench/fixtures/node.ts'
import { startCluster } from '../../test/cluster/cluster.ts'
import { imageBuilt } from '../../test/cluster/image-built.ts'
import { podManifest, SLEEP, waitForPhase } from '../../test/cluster/pods.ts'
import { copyExample } from '../../test/node/example.ts'
import { PATIENCE_MS } from '../../test/patience.ts'

const Node = v.object({ status: v.object({ nodeInfo: v.object({ kubeletVersion: v.string() }) }) })
const Version = v.object({ gitVersion: v.string() })
const POLL_MS = 200

/** A pod whose image Nix builds is Running on its first pull, and its condition says that the image is built. */
await using cluster = await startCluster()
await cluster.installDeploy()
await using _controller = await cluster.startController(CONTROLLER_PROGRAM)
await using node = await cluster.addNode({ reports: true, shim: SHIM_PROGRAM })
const { gitVersion } = v.parse(Version, await cluster.read('/version'))
const { status } = v.parse(Node, await cluster.read(`/api/v1/nodes/${node.name}`))
process.stdout.write(`API server ${gitVersion}, kubelet ${status.nodeInfo.kubeletVersion}\n`)

const pod = { namespace: await cluster.createNamespace(), name: 'hello' }
const { url: flakeUrl } = await copyExample('hello', node.bed.dir)
const image = 'registry.example/versions/hello:1'
const recipe = { image, flakeUrl, packageName: 'image' }
await cluster.apply(podManifest({ ...pod, node: node.name, image, recipe, command: SLEEP }))
await waitForPhase(cluster, pod, 'Running')
const signal = AbortSignal.timeout(PATIENCE_MS)
while ((await imageBuilt(cluster, pod))?.status !== 'True') await delay(POLL_MS, undefined, { signal })
