import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { SHIM, SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { type Cluster, type OwnCluster, startCluster } from '../../test/cluster/cluster.ts'
import type { Controller } from '../../test/cluster/controller.ts'
import type { ClusterNode } from '../../test/cluster/node.ts'
import { CONTROLLER_PROGRAM, SHIM_PROGRAM } from '../fixtures/node.ts'
import { holdSocket } from './held-socket.ts'

const NAME = 'soak'
/** Finished NixBuilds that the controller keeps in each namespace. */
export const KEEP_FINISHED = 10
/** Free share of the disk below which the kubelet removes images, and then evicts pods. It is the kubelet's default. */
export const EVICTED_BELOW = 0.15
/** Holds what the pods need at one time, but not what all of them have needed. In memory. */
const DISK = '900m'
/** The least that the API server allows. In a run of an hour, several tokens expire. */
const TOKEN_AGE = '10m'

export interface Soak extends AsyncDisposable {
  readonly cluster: OwnCluster
  readonly controller: Controller
  readonly node: ClusterNode
  /** Gives the shim's token file a new token, as the DaemonSet enbi-token does. */
  rotateToken(): Promise<void>
}

/** A cluster with the packaged controller and one node, whose shim has the token of a file. */
export async function startSoak(): Promise<Soak> {
  await using parts = new AsyncDisposableStack()
  const cluster = parts.use(await startCluster())
  await cluster.installDeploy()
  const flags = ['--keep-finished', String(KEEP_FINISHED)]
  const controller = parts.use(await cluster.startController({ ...CONTROLLER_PROGRAM, flags }))
  await cluster.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: NAME } })
  const token = await tokenFile(cluster)
  const socket = parts.use(await holdSocket(cluster.access.dir))
  const node = parts.use(
    await cluster.addNode({
      name: NAME,
      reports: { kubeconfig: token.kubeconfig },
      storeDisk: DISK,
      kubeletConfig: {
        imageMinimumGCAge: '1s',
        evictionHard: {
          'memory.available': '1Mi',
          'nodefs.available': '1Mi',
          'imagefs.available': `${EVICTED_BELOW * 100}%`,
        },
        evictionPressureTransitionPeriod: '1s',
      },
      shim: {
        command: [...socket.command, process.execPath, ...SHIM_PROGRAM.nodeArgs, SHIM_PROGRAM.program],
        config: { listen: socket.path, policy: [RULE], nix: { collectGarbage: { when: 'always' } } },
      },
    }),
  )
  const kept = parts.move()
  return { cluster, controller, node, rotateToken: token.rotate, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const RULE = { namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }

async function tokenFile(cluster: Cluster) {
  const file = join(cluster.access.dir, 'token')
  const rotate = async () => {
    const bound = ['--bound-object-kind=Node', `--bound-object-name=${NAME}`, `--duration=${TOKEN_AGE}`]
    const token = await cluster.kubectl(['create', 'token', SHIM, `--namespace=${SYSTEM_NAMESPACE}`, ...bound])
    await writeFile(`${file}.new`, token, { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  await rotate()
  const kubeconfig = join(cluster.access.dir, 'kubeconfig-soak')
  await writeFile(kubeconfig, stringify(kubeconfigOf(cluster.access, file)), { mode: 0o600 })
  return { kubeconfig, rotate }
}

function kubeconfigOf({ server, certificate }: Cluster['access'], tokenFile: string): object {
  const cluster = { server, 'certificate-authority-data': Buffer.from(certificate).toString('base64') }
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: NAME, cluster }],
    users: [{ name: NAME, user: { tokenFile } }],
    contexts: [{ name: NAME, context: { cluster: NAME, user: NAME } }],
    'current-context': NAME,
  }
}
