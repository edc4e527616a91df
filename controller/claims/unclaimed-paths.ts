import { CLAIM_LIMITS, pathClaimName } from '../../kube/resources/claim-lease.ts'
import type { NodeBuilds } from '../state/node-builds.ts'
import type { NixNodeView } from '../views/nixnode.ts'

/** A store path that others can copy, of which no claim tells. */
export interface UnclaimedPath {
  readonly name: string
  readonly storePath: string
  /** Those that have it, a few of them. */
  readonly nodes: readonly string[]
}

export interface UnclaimedFacts {
  /** Names of all claims. */
  readonly claims: ReadonlySet<string>
  readonly nixNodes: Iterable<Pick<NixNodeView, 'name' | 'serves'>>
  readonly nodeBuilds: Pick<NodeBuilds, 'onNode'>
  readonly max: number
}

/** Paths of images that were made before their nodes shared, or whose claims are lost. */
export function findUnclaimedPaths({ claims, nixNodes, nodeBuilds, max }: UnclaimedFacts): readonly UnclaimedPath[] {
  const found = new Map<string, { readonly name: string; readonly storePath: string; readonly nodes: string[] }>()
  for (const { name: node, serves } of nixNodes) {
    if (!serves) continue
    for (const { state, details } of nodeBuilds.onNode(node)) {
      const { storePath } = details
      const name = state === 'Present' && storePath !== undefined ? pathClaimName(storePath) : undefined
      if (name === undefined || storePath === undefined || claims.has(name)) continue
      const known = found.get(name)
      if (!known && found.size < max) found.set(name, { name, storePath, nodes: [node] })
      else if (known && known.nodes.length < CLAIM_LIMITS.nodes && !known.nodes.includes(node)) known.nodes.push(node)
    }
  }
  return [...found.values()]
}
