import { randomUUID } from 'node:crypto'
import { stringify } from 'yaml'
import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { PATIENCE } from '../patience.ts'
import { type Access, type User, writeKubeconfig } from './access.ts'
import { type AddNodeOptions, addNode } from './add-node.ts'
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts'
import { type Controller, type ControllerOptions, startController } from './controller.ts'
import { installDeploy } from './deploy.ts'
import { type KubectlOptions, runKubectl } from './kubectl.ts'
import type { ClusterNode } from './node.ts'
import { createObjectReader } from './object-reader.ts'

/** A control plane as a client, wherever it was started. Disposed of, what was made through it is deleted. */
export interface Cluster extends AsyncDisposable {
  readonly access: Access
  /** Path of the administrator's kubeconfig file. */
  readonly adminKubeconfig: string
  /** Writes a kubeconfig file for somebody else. */
  kubeconfig(user: User): Promise<string>
  /** The project's own client, as the administrator unless told otherwise; closed with the cluster. */
  client(kubeconfig?: string): Kube
  /** A new Kubernetes namespace with its default service account. */
  createNamespace(): Promise<string>
  createToken(account: ServiceAccount): Promise<string>
  /** A new node, once it is Ready. It ends with this process, whoever started the control plane. */
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
  /** Applies what `deploy/` ships. A shared cluster has it from its start. */
  installDeploy(): Promise<void>
  /** Runs the project's controller, which serves all of the cluster: on a shared one, other tests' objects, too. */
  startController(options?: ControllerOptions): Promise<Controller>
  /** The real kubectl, as the administrator unless told otherwise. Resolves to its stdout. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>
  /** YAML or objects. */
  apply(...manifests: readonly (string | object)[]): Promise<void>
  /** What the API server has at a path such as `/api/v1/nodes/NAME`, not yet checked. */
  read(path: string): Promise<unknown>
}

export interface ServiceAccount {
  readonly namespace: string
  readonly serviceAccount: string
  /** A node that there is: the token tells it to the API server, and ends with it. */
  readonly node?: string
}

/** A cluster whose control plane its owner started. */
export interface OwnCluster extends Cluster {
  readonly controlPlane: ControlPlane
}

/** A cluster of one's own: what a test needs that stops parts of the control plane, or that counts all nodes. */
export async function startCluster(options?: ControlPlaneOptions): Promise<OwnCluster> {
  const controlPlane = await startControlPlane(options)
  const cluster = await connectCluster(controlPlane.access)
  const end = async () => {
    cluster.closeClients()
    await controlPlane[Symbol.asyncDispose]()
  }
  return { ...cluster, controlPlane, [Symbol.asyncDispose]: end }
}

/** A control plane that something else started and takes down. */
export async function connectCluster(access: Access): Promise<Cluster & { closeClients(): void }> {
  const adminKubeconfig = await writeKubeconfig(access)
  const made = new AsyncDisposableStack()
  const clients = new DisposableStack()
  const reader = clients.use(createObjectReader(access))
  const kubectl: Cluster['kubectl'] = (args, options) =>
    runKubectl({ dir: access.dir, kubeconfig: adminKubeconfig }, args, options)
  const cluster: Cluster = {
    access,
    adminKubeconfig,
    kubeconfig: user => writeKubeconfig(access, user),
    client: (kubeconfig = adminKubeconfig) => clients.adopt(createKube({ kubeconfig }), kube => kube.close()),
    async createNamespace() {
      const name = `test-${randomUUID().slice(0, 8)}`
      await kubectl(['create', 'namespace', name])
      made.defer(async () => {
        await kubectl(['delete', 'namespace', name, '--wait=false', '--ignore-not-found'])
      })
      await kubectl(['wait', '--for=create', 'serviceaccount/default', `--namespace=${name}`, `--timeout=${PATIENCE}`])
      return name
    },
    createToken: ({ namespace, serviceAccount, node }) =>
      kubectl([
        ...['create', 'token', serviceAccount, `--namespace=${namespace}`],
        ...(node === undefined ? [] : ['--bound-object-kind=Node', `--bound-object-name=${node}`]),
      ]),
    addNode: options => addNode(cluster, options),
    installDeploy: () => installDeploy(cluster),
    startController: options => startController(cluster, options),
    kubectl,
    async apply(...manifests) {
      const documents = manifests.map(manifest => (typeof manifest === 'string' ? manifest : stringify(manifest)))
      await kubectl(['apply', '--server-side', '--force-conflicts', '--filename=-'], {
        input: documents.join('\n---\n'),
      })
    },
    read: reader.read,
    async [Symbol.asyncDispose]() {
      clients.dispose()
      await made.disposeAsync()
    },
  }
  return { ...cluster, closeClients: () => clients.dispose() }
}
