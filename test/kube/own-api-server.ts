import { createKube } from '../../kube/client/client.ts'
import { startCluster } from '../cluster/cluster.ts'

/** An API server of one's own, which may be stopped, and the administrator's client of it. */
export async function startApiServer() {
  const cluster = await startCluster({ without: ['controllerManager', 'scheduler'] })
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  return {
    cluster,
    kube,
    async end() {
      await kube.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
}
