import { randomUUID } from 'node:crypto'
import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import type { Flags } from '../cluster/api-server.ts'
import { type Cluster, startCluster } from '../cluster/cluster.ts'
import { PATIENCE, PATIENCE_MS } from '../patience.ts'
import { SPEC } from './nixbuilds.ts'

const PAUSE_MS = 100

/** A cluster of its own with the manifests of `deploy/`, in which no pod runs. */
export interface Deployed extends AsyncDisposable {
  readonly cluster: Cluster
  /** The administrator's client. */
  readonly kube: Kube
  /** A client of the account in enbi-system. With `node`, its token is bound to that Node, which is created if it is missing. */
  as(account: 'enbi-shim' | 'enbi-controller', node?: string): Promise<Member>
}

export interface Member {
  readonly kube: Kube
  readonly kubeconfig: string
}

export async function startDeployed(apiServerFlags?: Flags): Promise<Deployed> {
  const cluster = await startCluster({
    without: ['controllerManager', 'scheduler'],
    ...(apiServerFlags && { apiServerFlags }),
  })
  const kubes: Kube[] = []
  const connect = (kubeconfig: string) => {
    const kube = createKube({ kubeconfig })
    kubes.push(kube)
    return kube
  }
  const deployed: Deployed = {
    cluster,
    kube: connect(cluster.adminKubeconfig),
    async as(serviceAccount, node) {
      if (node !== undefined) await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } })
      const account = { namespace: 'enbi-system', serviceAccount, ...(node !== undefined && { node }) }
      const kubeconfig = await cluster.kubeconfig({ token: await cluster.createToken(account) })
      return { kube: connect(kubeconfig), kubeconfig }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(kubes.map(kube => kube.close()))
      await cluster[Symbol.asyncDispose]()
    },
  }
  try {
    await cluster.kubectl(['apply', '--kustomize', 'deploy'])
    await cluster.kubectl([
      'wait',
      '--for=condition=Established',
      'crd/nixbuilds.enbi.hrzn.ee',
      'crd/nixnodes.enbi.hrzn.ee',
      `--timeout=${PATIENCE}`,
    ])
    await untilPoliciesHold(deployed)
    return deployed
  } catch (error) {
    await deployed[Symbol.asyncDispose]()
    throw error
  }
}

/** An API server applies a new admission policy only after a moment. */
async function untilPoliciesHold({ as, cluster }: Deployed): Promise<void> {
  const shim = (await as('enbi-shim')).kubeconfig
  const name = randomUUID()
  const tries = [
    { by: shim, object: { apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixNode', metadata: { name } } },
    {
      by: shim,
      object: {
        ...{ apiVersion: 'v1', kind: 'Event', metadata: { namespace: 'default', name } },
        involvedObject: { kind: 'Pod', namespace: 'default', name: 'none' },
      },
    },
    {
      by: shim,
      object: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace: 'enbi-system', name } },
    },
    {
      by: shim,
      object: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace: 'enbi-claims', name } },
    },
    {
      by: cluster.adminKubeconfig,
      object: {
        ...{ apiVersion: 'enbi.hrzn.ee/v1alpha1', kind: 'NixBuild', spec: SPEC },
        metadata: { namespace: 'default', name, annotations: { large: 'x'.repeat(100_000) } },
      },
    },
  ]
  const end = performance.now() + PATIENCE_MS
  for (const { by: kubeconfig, object } of tries) {
    const args = ['create', '--dry-run=server', '--filename=-']
    for (;;) {
      const answer = await cluster
        .kubectl(args, { kubeconfig, input: JSON.stringify(object) })
        .catch((error: Error) => error.message)
      if (answer.includes('ValidatingAdmissionPolicy')) break
      if (performance.now() > end) throw new Error(`the admission policy does not hold: ${answer}`)
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  }
}
