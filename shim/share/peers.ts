import * as v from 'valibot'
import type { Kind } from '../../kube/client/contract.ts'
import { MAX_SERVED } from '../../kube/resources/claim-lease.ts'
import { nixNodes } from '../../kube/resources/nixnode.ts'
import { setBounded } from '../../lib/queues/set-bounded.ts'
import type { ClaimKube } from './leases/claim-kube.ts'

/** How a node serves its store. */
export interface Peer {
  readonly node: string
  readonly url: string
  /** Nodes that may copy from it at the same time. */
  readonly maxServed: number
}

const DEFAULT_SERVED = 4
const MAX_ADDRESS = 253
/** Nodes whose addresses are kept. */
const MAX_KEPT = 256

const storeSchema = v.object({
  address: v.pipe(v.string(), v.maxLength(MAX_ADDRESS), v.check(isBinaryCache)),
  maxServed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(1)), DEFAULT_SERVED),
})

/** A NixNode without what is not needed of it: its list of builds is long. */
const storesOfNodes: Kind<Omit<Peer, 'node'> | undefined> = {
  ...nixNodes,
  parse(object) {
    const parsed = v.safeParse(v.object({ status: v.object({ store: storeSchema }) }), object)
    if (!parsed.success) return undefined
    const { address, maxServed } = parsed.output.status.store
    return { url: address, maxServed: Math.min(maxServed, MAX_SERVED) }
  },
}

/** Whether it is a URL that a node may give: any shim may have written it. */
export function isBinaryCache(text: string): boolean {
  if (!URL.canParse(text) || /[\s\0]/.test(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return (
    (protocol === 'http:' || protocol === 'https:') && [username, password, search, hash].every(part => part === '')
  )
}

export interface Peers {
  /** Undefined if nobody can copy from the node. Throws the errors of `Kube`. */
  find(node: string, signal: AbortSignal): Promise<Peer | undefined>
}

/** Asks for the NixNode of a node, and keeps its address for a while. */
export function createPeers(kube: () => Promise<ClaimKube>, keptMs: number): Peers {
  const kept = new Map<string, { readonly peer: Peer; readonly until: number }>()
  return {
    async find(node, signal) {
      const known = kept.get(node)
      if (known && known.until > performance.now()) return known.peer
      kept.delete(node)
      const store = await (await kube()).get(storesOfNodes, { name: node }, { signal })
      if (!store) return undefined
      const peer = { node, ...store }
      setBounded(kept, node, { peer, until: performance.now() + keptMs }, MAX_KEPT)
      return peer
    },
  }
}
