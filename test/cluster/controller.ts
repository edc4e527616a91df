import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SYSTEM_NAMESPACE } from '../../kube/resources/names.ts'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import { startNamespace } from '../node/namespace.ts'
import { CONTROLLER_MAIN } from '../node/own-programs.ts'
import { claimPort } from './claims.ts'
import type { Cluster } from './cluster.ts'
import { waitUntilHealthy } from './health.ts'

/** A running `enbi-controller` with the rights that `deploy/` gives it. */
export interface Controller extends AsyncDisposable {
  readonly daemon: Daemon
  /** Base URL of /metrics, /healthz and /readyz. */
  readonly url: string
}

export interface ControllerOptions {
  /** Appended to the default flags. */
  readonly flags?: readonly string[]
  /** With false, `startController` does not wait until the controller is ready. */
  readonly wait?: boolean
  /** The program to run, by default that of own-programs.ts. */
  readonly program?: string
  /** Arguments for Node, before the program. */
  readonly nodeArgs?: readonly string[]
}

/** Needs `installDeploy`. Several controllers can run concurrently, as replicas do. */
export async function startController(
  cluster: Pick<Cluster, 'createToken' | 'kubeconfig'>,
  { flags = [], wait = true, program = CONTROLLER_MAIN, nodeArgs = [] }: ControllerOptions = {},
): Promise<Controller> {
  const token = await cluster.createToken({ namespace: SYSTEM_NAMESPACE, serviceAccount: 'enbi-controller' })
  const kubeconfig = await cluster.kubeconfig({ token })
  const port = await claimPort()
  const url = `http://127.0.0.1:${port}`
  const namespace = await startNamespace()
  const dir = join(namespace.dir, 'controller')
  await mkdir(dir)
  const daemon = createDaemon({
    name: 'enbi-controller',
    namespace,
    command: [
      process.execPath,
      ...nodeArgs,
      program,
      '--kubeconfig',
      kubeconfig,
      '--listen',
      `127.0.0.1:${port}`,
      ...flags,
    ],
    env: { PATH: process.env.PATH, HOME: dir, TMPDIR: dir, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`${url}/readyz`, signal),
  })
  const end = () => namespace[Symbol.asyncDispose]()
  try {
    await daemon.start({ wait })
    return { daemon, url, [Symbol.asyncDispose]: end }
  } catch (error) {
    await end()
    throw error
  }
}
