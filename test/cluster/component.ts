import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDaemon, type Daemon } from '../node/daemon.ts'
import type { Namespace } from '../node/namespace.ts'
import { kubernetesProgram } from '../node/programs.ts'
import { claimPort } from './claims.ts'
import { waitUntilHealthy } from './health.ts'

export interface ComponentPlan {
  /** Name of the program without `kube-`. */
  readonly name: 'controller-manager' | 'scheduler'
  readonly namespace: Namespace
  readonly env: NodeJS.ProcessEnv
  readonly kubeconfig: string
  /** Additional flags, keyed by name without dashes. */
  readonly flags?: Readonly<Record<string, string>>
}

/** Creates a part of the control plane that is a client of the API server, without starting it. */
export async function createComponent({
  name,
  namespace,
  env,
  kubeconfig,
  flags = {},
}: ComponentPlan): Promise<Daemon> {
  const dir = join(namespace.dir, name)
  await mkdir(dir)
  const port = await claimPort()
  const allFlags = {
    kubeconfig,
    'authentication-skip-lookup': true, // nobody but the health check calls it
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'cert-dir': dir,
    'leader-elect': false,
    'kube-api-qps': 200,
    'kube-api-burst': 400,
    ...flags,
  }
  return createDaemon({
    name: `kube-${name}`,
    namespace,
    command: [
      kubernetesProgram(`kube-${name}`),
      ...Object.entries(allFlags).map(([flag, value]) => `--${flag}=${value}`),
    ],
    env,
    logPath: join(dir, 'log'),
    ready: signal => waitUntilHealthy(`https://127.0.0.1:${port}/healthz`, signal),
  })
}
