import { createKube } from '../../kube/client/client.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { useCluster } from '../cluster/use-cluster.ts'

/** NixBuilds in a new namespace of the shared cluster, which has no controller that would work on them. */
export async function useCrd() {
  const cluster = await useCluster()
  const kube = createKube({ kubeconfig: cluster.adminKubeconfig })
  const namespace = await cluster.createNamespace()
  let made = 0
  const newName = () => {
    made += 1
    return `crd-${made}`
  }
  return {
    cluster,
    kube,
    namespace,
    newName,
    async create(spec: object): Promise<string> {
      const name = newName()
      await kube.create(nixBuilds, { namespace, name, body: { spec } })
      return name
    },
    async get(name: string): Promise<NixBuild> {
      const found = await kube.get(nixBuilds, { namespace, name })
      if (!found) throw new Error(`there is no ${name}`)
      return found
    },
    merge: (name: string, body: object) =>
      kube.patch(nixBuilds, { namespace, name, body }, { type: 'merge', fieldManager: 'test' }),
    mergeStatus: (name: string, status: object) =>
      kube.patch(
        nixBuilds,
        { namespace, name, body: { status } },
        { type: 'merge', subresource: 'status', fieldManager: 'test' },
      ),
    async strictly(verb: 'create' | 'replace', object: object, ...flags: readonly string[]): Promise<void> {
      const input = JSON.stringify(object)
      await cluster.kubectl([verb, '--validate=strict', ...flags, '--filename=-'], { input })
    },
    async [Symbol.asyncDispose]() {
      await kube.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
}
