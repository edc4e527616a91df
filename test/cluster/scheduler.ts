import type { Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { createComponent } from './component.ts'

export function createScheduler(namespace: Namespace, env: NodeJS.ProcessEnv, kubeconfig: string): Promise<Daemon> {
  return createComponent({ name: 'scheduler', namespace, env, kubeconfig })
}
