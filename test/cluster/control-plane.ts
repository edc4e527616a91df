import { appendFile, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Daemon } from '../node/daemon.ts'
import { type Namespace, startNamespace } from '../node/namespace.ts'
import { type Access, writeKubeconfig } from './access.ts'
import { createApiServer, type Flags } from './api-server.ts'
import { createControllerManager } from './controller-manager.ts'
import { createEtcd } from './etcd.ts'
import { createScheduler } from './scheduler.ts'

/** The parts that a cluster has once. They leave nothing behind when they are disposed of or their process ends. */
export interface ControlPlane extends AsyncDisposable {
  readonly access: Access
  readonly etcd: Daemon
  readonly apiServer: Daemon
  readonly controllerManager: Daemon
  readonly scheduler: Daemon
}

export interface ControlPlaneOptions {
  /** Parts that are not started. A test can start their Daemon later. */
  readonly without?: readonly ('controllerManager' | 'scheduler')[]
  /** Override the default flags. */
  readonly apiServerFlags?: Flags
}

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const namespace = await startNamespace()
  try {
    return await startParts(namespace, options)
  } catch (error) {
    await namespace[Symbol.asyncDispose]()
    throw error
  }
}

async function startParts(
  namespace: Namespace,
  { without = [], apiServerFlags }: ControlPlaneOptions,
): Promise<ControlPlane> {
  await nameNodes(namespace)
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: namespace.dir, TMPDIR: namespace.dir }
  const etcd = await createEtcd(namespace, env)
  const apiServer = await createApiServer(namespace, env, { etcdUrl: etcd.url, moreFlags: apiServerFlags })
  await etcd.daemon.start()
  await apiServer.daemon.start()
  const access = await apiServer.access()
  const kubeconfig = await writeKubeconfig(access)
  const controllerManager = await createControllerManager(namespace, env, { kubeconfig, apiServer })
  const scheduler = await createScheduler(namespace, env, kubeconfig)
  await Promise.all([
    without.includes('controllerManager') ? undefined : controllerManager.start(),
    without.includes('scheduler') ? undefined : scheduler.start(),
  ])
  return {
    access,
    etcd: etcd.daemon,
    apiServer: apiServer.daemon,
    controllerManager,
    scheduler,
    [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
  }
}

/**
 * The API server connects to a kubelet by the name of its node. Kubelets listen on the loopback address, which may
 * differ from the node's address, so the names get a hosts file.
 */
async function nameNodes({ dir, enter }: Namespace): Promise<void> {
  await copyFile('/etc/hosts', hostsFile(dir))
  const [program = '', ...prefix] = enter
  await execa(program, [...prefix, 'mount', '--bind', hostsFile(dir), '/etc/hosts'])
}

/** Makes the name of a new node resolve in the API server. */
export async function addNodeName({ dir }: Access, name: string, address = '127.0.0.1'): Promise<void> {
  await appendFile(hostsFile(dir), `${address} ${name}\n`)
}

function hostsFile(dir: string): string {
  return join(dir, 'hosts')
}
