import { homedir } from 'node:os'
import { join } from 'node:path'
import { createKube } from '../../kube/client/client.ts'
import type { Kube, NodeLogs } from '../../kube/client/contract.ts'
import { namespaceOf } from '../../kube/client/kubeconfig.ts'

export interface UserKubeArguments {
  /** By default that of the environment, or of the user's home. */
  readonly kubeconfig?: string | undefined
  /** By default that of the kubeconfig's context. */
  readonly namespace?: string | undefined
}

/** The API server with the rights of the user who runs a command. */
export interface UserKube {
  readonly kube: Kube & NodeLogs
  readonly namespace: string
}

/** Connects as kubectl does, and closes the connection after `use`. Throws ConfigInvalid. */
export async function withUserKube<Result>(
  args: UserKubeArguments,
  use: (user: UserKube) => Promise<Result>,
): Promise<Result> {
  const kubeconfig = kubeconfigOf(args)
  const namespace = args.namespace ?? namespaceOf(kubeconfig)
  const kube = createKube({ kubeconfig, component: 'enbi-shim' })
  try {
    return await use({ kube, namespace })
  } finally {
    await kube.close()
  }
}

/** Of several files in the environment, the first. */
function kubeconfigOf({ kubeconfig }: UserKubeArguments): string {
  const [first = ''] = (process.env.KUBECONFIG ?? '').split(':')
  return kubeconfig ?? (first === '' ? join(homedir(), '.kube', 'config') : first)
}
