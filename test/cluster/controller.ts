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
  /** Of /metrics, /healthz and /readyz. */
  readonly url: string
}

export interface ControllerOptions {
  /** Put after the test's own. */
  readonly flags?: readonly string[]
  /** false: do not wait until it is ready. */
  readonly wait?: boolean
  /** What is run; that of own-programs.ts by default. */
  readonly program?: string
  /** For node itself, before the program's name. */
  readonly nodeArgs?: readonly string[]
}

/** Needs what `installDeploy` applies. Any number run side by side, as replicas do. */
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
