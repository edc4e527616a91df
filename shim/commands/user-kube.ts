import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createKube } from '../../kube/client/client.ts'
import type { Kube, NodeLogs } from '../../kube/client/contract.ts'
import { namespaceOf } from '../../kube/client/kubeconfig.ts'

/** As for kubectl, an empty text is not given. */
export interface UserKubeArguments {
  /** By default that of the environment, or of the user's home. */
  readonly kubeconfig?: string | undefined
  /** By default the kubeconfig's current one. */
  readonly context?: string | undefined
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
  const { context } = args
  const kubeconfig = kubeconfigOf(args)
  const namespace = args.namespace || namespaceOf(kubeconfig, context)
  const kube = createKube({ kubeconfig, context, component: 'enbi-shim' })
  try {
    return await use({ kube, namespace })
  } finally {
    await kube.close()
  }
}

function kubeconfigOf({ kubeconfig }: UserKubeArguments): readonly string[] {
  if (kubeconfig) return [kubeconfig]
  const named = (process.env.KUBECONFIG ?? '').split(delimiter).filter(file => file !== '')
  return named.length > 0 ? named : [join(homedir(), '.kube', 'config')]
}
