import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { kubernetesProgram } from '../node/programs.ts'
import type { ApiServer } from './api-server.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

/** How long a node may be silent before its pods are taken for lost. Kubernetes' own 50 s are long for a test. */
const NODE_GRACE_PERIOD = '10s'

/** Kubernetes' own controllers: service accounts, garbage collection, the end of namespaces, lost nodes, Deployments. Not yet started. */
export async function createControllerManager(
  namespace: Namespace,
  env: NodeJS.ProcessEnv,
  { kubeconfig, apiServer }: { kubeconfig: string; apiServer: ApiServer },
): Promise<Daemon> {
  const dir = join(namespace.dir, 'controller-manager')
  await mkdir(dir)
  const port = await claimPort()
  const flags = {
    kubeconfig,
    'authentication-skip-lookup': true, // nobody but the health check calls it
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'cert-dir': dir,
    'leader-elect': false,
    'service-account-private-key-file': apiServer.serviceAccountKey,
    'root-ca-file': apiServer.certificate,
    'node-monitor-period': '1s',
    'node-monitor-grace-period': NODE_GRACE_PERIOD,
    'kube-api-qps': 200,
    'kube-api-burst': 400,
  }
  return createDaemon({
    name: 'kube-controller-manager',
    namespace,
    command: [
      kubernetesProgram('kube-controller-manager'),
      ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    ],
    env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`https://127.0.0.1:${port}/healthz`, signal),
  })
}
