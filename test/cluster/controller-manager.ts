import type { Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import type { ApiServer } from './api-server.ts'
import { createComponent } from './component.ts'

/** Time without a heartbeat after which a node counts as lost. The default of 50 s is too long for a test. */
const NODE_GRACE_PERIOD = '10s'

/**
 * Runs Kubernetes' own controllers, for example for service accounts, garbage collection, lost nodes and Deployments.
 * Not yet started.
 */
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
