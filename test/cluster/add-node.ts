import { randomUUID } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { SHIM, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import type { ShimOptions } from '../node/shim.ts'
import { PATIENCE } from '../patience.ts'
import { clientOfKubelets } from './api-server.ts'
import type { Cluster } from './cluster.ts'
import { addNodeName } from './control-plane.ts'
import type { ServedKubelet } from './kubelet.ts'
import { type ClusterNode, type NodeOptions, startNode } from './node.ts'

export interface AddNodeOptions extends NodeOptions {
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  /** The API server can read what is below `/var/log` of the node, which it never asks a loopback address for. */
  readonly servesLogs?: boolean
  /**
   * Its shim reports to the API server. Its token is bound to the node and has the rights from `deploy/`. An object
   * overrides keys of the shim's config for Kubernetes.
   */
  readonly reports?: boolean | Readonly<Record<string, unknown>>
}

type Part = Pick<Cluster, 'access' | 'kubectl' | 'kubeconfig' | 'createToken' | 'apply'>

/** Starts a node and waits until it is Ready. */
export async function addNode(cluster: Part, options: AddNodeOptions = {}): Promise<ClusterNode> {
  const { name = `node-${randomUUID().slice(0, 8)}`, labels = {} } = options
  const served = options.servesLogs === true ? servedKubelet(cluster.access) : undefined
  await addNodeName(cluster.access, name, served?.address)
  // The kubelet would do this later, but the shim's token can only be bound to an existing node.
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })
  const kubeconfig = await cluster.kubeconfig({ name: `system:node:${name}`, groups: ['system:nodes'] })
  const shim = await shimOptions(cluster, name, options)
  const onEnd = async () => {
    const deletion = cluster.kubectl(['delete', 'node', name, '--ignore-not-found', '--wait=false'])
    await deletion.catch(() => {}) // the API server may have ended before
  }
  const node = await startNode({ ...options, name, kubeconfig, shim, served, onEnd })
  try {
    await cluster.kubectl(['wait', '--for=condition=Ready', `node/${name}`, `--timeout=${PATIENCE}`])
    return node
  } catch (cause) {
    const log = await node.kubelet.logTail()
    await node[Symbol.asyncDispose]()
    throw new Error(`${name} does not get Ready\n${log}`, { cause })
  }
}

function servedKubelet({ dir }: Cluster['access']): ServedKubelet {
  const all = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found === undefined) throw new Error('the machine has no address but the loopback address')
  return { address: found.address, clientCertificate: clientOfKubelets(dir) }
}

async function shimOptions(cluster: Part, nodeName: string, options: AddNodeOptions): Promise<ShimOptions> {
  const { shim = {}, reports = false } = options
  if (reports === false) return shim
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: SHIM, node: nodeName })
  const kubeconfig = await cluster.kubeconfig({ token })
  const kubernetes = { kubeconfig, nodeName, ...(reports === true ? {} : reports) }
  return { ...shim, config: { kubernetes, ...shim.config } }
}
