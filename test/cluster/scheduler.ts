import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

/** Not yet started. */
export async function createScheduler(
  namespace: Namespace,
  env: NodeJS.ProcessEnv,
  kubeconfig: string,
): Promise<Daemon> {
  const dir = join(namespace.dir, 'scheduler')
  await mkdir(dir)
  const port = await claimPort()
  const flags = {
    kubeconfig,
    'authentication-skip-lookup': true, // nobody but the health check calls it
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'cert-dir': dir,
    'leader-elect': false,
    'kube-api-qps': 200,
    'kube-api-burst': 400,
  }
  return createDaemon({
    name: 'kube-scheduler',
    namespace,
    command: [
      kubernetesProgram('kube-scheduler'),
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ],
    env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`https://127.0.0.1:${port}/healthz`, signal),
  })
}
