import * as v from 'valibot'
import type { Kind, Kube } from '../../kube/client/contract.ts'
import { metadataSchema } from '../../kube/resources/metadata.ts'
import { FinalError } from '../../lib/errors.ts'
import { type PublicKey, parsePublicKey } from '../../lib/text/public-key.ts'
import { quote } from '../../lib/text/quote.ts'

/** What a node says about the key that it signs with. */
export interface NodeKey {
  readonly node: string
  /** Of the binary cache with its store; undefined if it serves none. */
  readonly address: string | undefined
  /** Whether it builds nothing, so that nobody needs its key. It may serve what it has copied. */
  readonly fetchOnly: boolean
  /** The key as it publishes it. */
  readonly text: string | undefined
  /** Undefined if there is none that may be trusted. */
  readonly key: PublicKey | undefined
  /** Why there is none although others need it, for people. */
  readonly problem: string | undefined
}

/** More than any cluster has. */
const MAX_NODES = 20_000

/** The keys that the NixNodes show, by node. Throws the errors of `Kube`. */
export async function readPublishedKeys(kube: Kube, signal: AbortSignal): Promise<readonly NodeKey[]> {
  const found: StatedKey[] = []
  const add = (node: StatedKey) => {
    if (found.length === MAX_NODES) throw new FinalError('ClusterRefused', `the cluster has over ${MAX_NODES} NixNodes`)
    found.push(node)
  }
  await kube.list(nodeKeys, {}, add, { signal, onTooLarge: () => {} })
  return judgeKeys(found)
}

type StatedKey = Omit<NodeKey, 'key' | 'problem'>

/** Less than a whole NixNode, so that no other field can make a node unreadable. */
const nodeKeys: Kind<StatedKey> = {
  apiVersion: 'enbi.hrzn.ee/v1alpha1',
  kind: 'NixNode',
  plural: 'nixnodes',
  namespaced: false,
  parse(object) {
    const { metadata, status } = v.parse(nodeSchema, object)
    const { address, publicKey: text, fetchOnly = false } = status.store ?? {}
    return { node: metadata.name, address, fetchOnly, text }
  },
}

const storeSchema = v.object({
  address: v.optional(v.string()),
  publicKey: v.optional(v.string()),
  fetchOnly: v.optional(v.boolean()),
})

const nodeSchema = v.object({
  metadata: metadataSchema,
  status: v.optional(v.object({ store: v.optional(storeSchema) }), {}),
})

/** Two keys with one name are both left out: Nix would use only one, and one of the nodes may pretend to be another. */
export function judgeKeys(stated: readonly StatedKey[]): readonly NodeKey[] {
  const read = stated
    .map(node => ({ ...node, key: node.text === undefined || node.fetchOnly ? undefined : parsePublicKey(node.text) }))
    .toSorted((one, other) => compare(one.node, other.node))
  const owners = Map.groupBy(read, ({ key }) => key?.name)
  return read.map(({ key, ...node }) => {
    const problem = node.fetchOnly ? undefined : describeProblem(node.text, key, owners.get(key?.name) ?? [])
    return { ...node, key: problem === undefined ? key : undefined, problem }
  })
}

type Owner = Pick<NodeKey, 'node' | 'key'>

function describeProblem(
  text: string | undefined,
  key: PublicKey | undefined,
  owners: readonly Owner[],
): string | undefined {
  if (text === undefined) return 'it publishes no key'
  if (key === undefined) return `its key is not NAME:BASE64 of 32 bytes: ${quote(text)}`
  const rivals = owners.filter(other => other.key?.text !== key.text).map(({ node }) => node)
  if (rivals.length === 0) return undefined
  return `its key has the name of another key: ${key.name}, also of ${rivals.slice(0, MAX_NAMED).join(', ')}`
}

/** Nodes in a message. */
const MAX_NAMED = 3

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
