import type { Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import type { ApiServer } from './api-server.ts'
import { createComponent } from './component.ts'

/** How long a node may be silent before its pods are taken for lost. Kubernetes' own 50 s are long for a test. */
const NODE_GRACE_PERIOD = '10s'

/** Kubernetes' own controllers: service accounts, garbage collection, the end of namespaces, lost nodes, Deployments. Not yet started. */
export function createControllerManager(
  namespace: Namespace,
  env: NodeJS.ProcessEnv,
  { kubeconfig, apiServer }: { kubeconfig: string; apiServer: ApiServer },
): Promise<Daemon> {
  const flags = {
    'service-account-private-key-file': apiServer.serviceAccountKey,
    'root-ca-file': apiServer.certificate,
    'node-monitor-period': '1s',
    'node-monitor-grace-period': NODE_GRACE_PERIOD,
  }
  return createComponent({ name: 'controller-manager', namespace, env, kubeconfig, flags })
}
