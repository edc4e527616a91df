import { createKube } from '../../kube/client/client.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { useCluster } from '../cluster/use-cluster.ts'

/** An administrator's client of the shared cluster, and the name of an object in an own namespace, to be created. */
export async function useKube() {
  const cluster = await useCluster()
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig, component: 'test-component' })
  return {
    cluster,
    kube,
    name: { namespace: await cluster.createNamespace(), name: 'one' },
    async [Symbol.asyncDispose]() {
      await kube.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
}

export function closing(kube: Kube) {
  return { kube, [Symbol.asyncDispose]: () => kube.close() }
}
