import { createKube } from '../../kube/client/client.ts'
import type { Flags } from '../cluster/api-server.ts'
import { startCluster } from '../cluster/cluster.ts'

/** An API server for one test file, which may stop it, with an administrator's client. */
export async function startApiServer(apiServerFlags: Flags = {}) {
  const cluster = await startCluster({ without: ['controllerManager', 'scheduler'], apiServerFlags })
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
