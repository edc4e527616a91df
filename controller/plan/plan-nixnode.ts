import { NIXNODE_LIMITS } from '../../kube/resources/nixnode.ts'
import type { AssignedView, NixNodeSpecView, NixNodeView } from '../views/nixnode.ts'

export interface NixNodeFacts {
  readonly nixNode: NixNodeView
  /** The spec as it was last written or seen. */
  readonly spec: NixNodeSpecView
  /** UID of the Node. */
  readonly node: string
  readonly assigned: readonly AssignedView[]
  /** UIDs of pods that are gone and that the node still works for. */
  readonly letGo: readonly string[]
  readonly namespaces: ReadonlySet<string>
}

/** Stands for all namespaces. */
const ALL = '*'

/** The spec to write, together with the owner; undefined if the NixNode is as it should be. */
export function planNixNode({ nixNode, spec, node, ...wanted }: NixNodeFacts): NixNodeSpecView | undefined {
  const next: NixNodeSpecView = {
    assigned: wanted.assigned.slice(0, NIXNODE_LIMITS.assigned),
    letGo: wanted.letGo.slice(0, NIXNODE_LIMITS.letGo),
    namespaces: namespacesOf(wanted.namespaces),
  }
  const isSame =
    nixNode.owner === node &&
    textOf(next.assigned) === textOf(spec.assigned) &&
    next.letGo.toSorted().join() === spec.letGo.toSorted().join() &&
    covers(spec.namespaces, next.namespaces ?? [])
  return isSame ? undefined : next
}

function namespacesOf(namespaces: ReadonlySet<string>): readonly string[] {
  return namespaces.size > NIXNODE_LIMITS.namespaces ? [ALL] : [...namespaces].sort()
}

function textOf(assigned: readonly AssignedView[]): string {
  const texts = assigned.map(({ key, recipe: { flakeUrl, imageTag, packageName, contents, system } }) =>
    JSON.stringify([key, flakeUrl, imageTag, packageName, contents, system]),
  )
  return texts.sort().join()
}

/** A namespace too many costs a look-up now and then; a write for each costs one for every node. */
function covers(written: readonly string[] | undefined, wanted: readonly string[]): boolean {
  if (written === undefined) return false
  const known = new Set(written)
  return known.has(ALL) || wanted.every(namespace => known.has(namespace))
}
