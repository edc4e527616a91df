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

/** A client of a control plane that any process started. Disposing it deletes everything that it created. */
export interface Cluster extends AsyncDisposable {
  readonly access: Access
  /** Path of the administrator's kubeconfig file. */
  readonly adminKubeconfig: string
  /** Writes a kubeconfig file for another user. */
  kubeconfig(user: User): Promise<string>
  /** The project's own client, by default as the administrator. It is closed together with the cluster. */
  client(kubeconfig?: string): Kube
  /** A new Kubernetes namespace with its default service account. */
  createNamespace(): Promise<string>
  createToken(account: ServiceAccount): Promise<string>
  /**
   * Resolves when the node is Ready. The node ends with this process, even if another process started the control
   * plane.
   */
  addNode(options?: AddNodeOptions): Promise<ClusterNode>
  /** Applies `deploy/`. On shared clusters this is already done. */
  installDeploy(): Promise<void>
  /** Runs the project's controller. On a shared cluster it also serves the objects of other tests. */
  startController(options?: ControllerOptions): Promise<Controller>
  /** Runs the real kubectl, by default as the administrator. Resolves to its stdout. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>
  /** Each manifest is YAML or an object. */
  apply(...manifests: readonly (string | object)[]): Promise<void>
  /** The unchecked object at a path of the API server, such as `/api/v1/nodes/NAME`. */
  read(path: string): Promise<unknown>
}

export interface ServiceAccount {
  readonly namespace: string
  readonly serviceAccount: string
  /** An existing node to which the token is bound. The token becomes invalid when the node is deleted. */
  readonly node?: string
}

/** A cluster that also owns its control plane. */
export interface OwnCluster extends Cluster {
  readonly controlPlane: ControlPlane
}

/** Starts a private cluster, for tests that stop parts of the control plane or count all nodes. */
export async function startCluster(options?: ControlPlaneOptions): Promise<OwnCluster> {
  const controlPlane = await startControlPlane(options)
  const cluster = await connectCluster(controlPlane.access)
  const end = async () => {
    cluster.closeClients()
    await controlPlane[Symbol.asyncDispose]()
  }
  return { ...cluster, controlPlane, [Symbol.asyncDispose]: end }
}

/** Connects to a control plane that the caller neither started nor ends. */
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
