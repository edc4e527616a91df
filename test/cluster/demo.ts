// `npm run demo:cluster`: `kubectl apply` brings a pod whose image is in no registry to Running on its first pull. The
// cluster is removed afterwards. With `-- --keep` it runs until Ctrl-C.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import * as v from 'valibot'
import { parse, stringify } from 'yaml'
import { annotationName } from '../../recipes/annotations.ts'
import { copyExample, lockExample } from '../node/example.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { PATIENCE } from '../patience.ts'
import { type Cluster, startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'
import { waitForPhase } from './pods.ts'
import { watchPod } from './watch-pod.ts'

const INTERRUPTED = 130
const POD = join(import.meta.dirname, '../../examples/hello/pod.yaml')
const POD_NAME = { namespace: 'default', name: 'hello' }

const Pod = v.looseObject({
  metadata: v.looseObject({ annotations: v.record(v.string(), v.string()) }),
  spec: v.looseObject({ containers: v.array(v.looseObject({})) }),
})

const { values: options } = parseArgs({ options: { keep: { type: 'boolean', default: false } } })

// These listeners are never removed. If only execa listened, its handler would end this process immediately.
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort())

try {
  await show(interrupted.signal)
  say('Done', 'nothing of the cluster is left')
} catch (error) {
  if (!interrupted.signal.aborted) throw error
  console.log('interrupted: everything has been removed')
  process.exitCode = INTERRUPTED
}

async function show(signal: AbortSignal): Promise<void> {
  say('Starting a cluster', 'etcd, API server, controller manager and scheduler, then what deploy/ ships')
  await using cluster = await startCluster()
  await cluster.installDeploy()
  signal.throwIfAborted()
  await using _controller = await cluster.startController()
  signal.throwIfAborted()
  say('Adding a node', 'kubelet, containerd, nix-daemon and enbi-shim, with a private /nix')
  await using node = await cluster.addNode({ name: 'node-1', reports: true })
  console.log(indent(await cluster.kubectl(['get', 'nodes'])))
  signal.throwIfAborted()

  const pod = await readPod(node)
  say('A pod wants an image that no registry has', 'kubectl apply, examples/hello/pod.yaml')
  console.log(indent(stringify({ annotations: pod.metadata.annotations }, { lineWidth: 0 })))
  await applyAndWatch(cluster, pod)
  await showEnd(cluster)
  if (options.keep) await keep(cluster, signal)
}

/**
 * The example's pod with a flake URL that points to a copy on the node. Its container sleeps after it has printed its
 * text.
 */
async function readPod(node: ClusterNode): Promise<v.InferOutput<typeof Pod>> {
  const pod = v.parse(Pod, parse(await readFile(POD, 'utf8')))
  const { url } = await lockExample(await copyExample('hello', node.bed.dir), node.bed.run)
  pod.metadata.annotations[annotationName('flakeUrl')] = url
  const command = ['/bin/busybox', 'sh', '-c', '/bin/hello; exec /bin/busybox sleep 86400']
  for (const container of pod.spec.containers) Object.assign(container, { command })
  return { ...pod, spec: { ...pod.spec, terminationGracePeriodSeconds: 0 } }
}

async function applyAndWatch(cluster: Cluster, pod: object): Promise<void> {
  const start = performance.now()
  const tell = (kind: string, line: string) => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    console.log(`  ${seconds.padStart(5)} s  ${styleText('cyan', kind.padEnd(8))}  ${line}`)
  }
  using _story = watchPod(cluster, POD_NAME, tell)
  await cluster.apply(pod)
  await waitForPhase(cluster, POD_NAME, 'Running')
  tell('pod', styleText('bold', 'Running on its first pull'))
  // The controller writes a NixBuild at most once in five seconds.
  await cluster.kubectl(['wait', 'nixbuild', '--all', '--for=condition=Success', `--timeout=${PATIENCE}`])
}

async function showEnd(cluster: Cluster): Promise<void> {
  say('The pod runs', 'kubectl get pods, nixbuilds and nixnodes, kubectl logs')
  for (const kind of ['pods', 'nixbuilds', 'nixnodes']) console.log(indent(await cluster.kubectl(['get', kind])))
  console.log(indent(await cluster.kubectl(['logs', POD_NAME.name])))
}

async function keep(cluster: Cluster, signal: AbortSignal): Promise<void> {
  say('The cluster stays until Ctrl-C', 'in another terminal:')
  console.log(indent(`export KUBECONFIG=${cluster.adminKubeconfig}\nalias kubectl=${kubernetesProgram('kubectl')}`))
  if (!signal.aborted) await once(signal, 'abort')
}

function say(title: string, detail: string): void {
  console.log(`\n${styleText('bold', title)} – ${detail}`)
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}
