import * as v from 'valibot'
import type { Kind, Kube } from '../../../kube/client/contract.ts'
import { metadataSchema } from '../../../kube/resources/metadata.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import { nodeInfoSchema, systemOfNode } from '../../../kube/resources/node-system.ts'
import type { Pod } from '../../../kube/resources/pod.ts'
import { allowed } from './allowed.ts'

/** Tells the Nix system that the images of a pod are for. Undefined if nothing that the user may read says so. */
export type ReadSystem = (pod: Pod, signal: AbortSignal) => Promise<string | undefined>

/** Asks about the node of a pod until it says its system, which it keeps. */
export function createSystemReader({ kube }: { readonly kube: Pick<Kube, 'get'> }): ReadSystem {
  let last: { readonly node: string; readonly system: string } | undefined

  async function readNode(name: string, signal: AbortSignal): Promise<string | undefined> {
    const nixNode = await allowed(kube.get(nixNodes, { name }, { signal }))
    if (nixNode?.status.system !== undefined) return nixNode.status.system
    const node = await allowed(kube.get(nodes, { name }, { signal }))
    return node && systemOfNode(node.metadata.labels, node.status.nodeInfo)
  }

  return async ({ spec: { nodeName, nodeSelector } }, signal) => {
    if (nodeName !== undefined) {
      if (last?.node === nodeName) return last.system
      const system = await readNode(nodeName, signal)
      if (system !== undefined) {
        last = { node: nodeName, system }
        return system
      }
    }
    // The kubelet, too, refuses pods whose selector does not match its node.
    return systemOfNode(nodeSelector)
  }
}

const nodeSchema = v.object({
  metadata: metadataSchema,
  status: v.optional(v.object({ nodeInfo: v.optional(nodeInfoSchema) }), {}),
})

const nodes: Kind<v.InferOutput<typeof nodeSchema>> = {
  apiVersion: 'v1',
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
  parse: object => v.parse(nodeSchema, object),
}
