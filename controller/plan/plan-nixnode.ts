import { ALL_NAMESPACES, NIXNODE_LIMITS } from '../../kube/resources/nixnode.ts'
import { type AssignedView, type NixNodeSpecView, type NixNodeView, sizeOfAssigned } from '../views/nixnode.ts'

/** The builds that are assigned to a node, and the pods that it should release. */
export type NodeBuildsSpec = Pick<NixNodeSpecView, 'assigned' | 'letGo'>

/** Where a node looks for NixBuilds. */
export type NodeLookupSpec = Pick<NixNodeSpecView, 'namespaces'>

export interface NixNodeFacts {
  readonly nixNode: Pick<NixNodeView, 'owner'>
  /** As it was last written or seen. */
  readonly spec: NodeLookupSpec
  /** UID of the Node. */
  readonly node: string
  readonly namespaces: ReadonlySet<string>
}

/**
 * Limits of the assigned builds of a node, in bytes. A node with more than the first gets no further one, and only as
 * many as the second allows are written: the store of the API server accepts 1.5 MiB for a whole object.
 */
export const ASSIGNED_BYTES = { full: 200_000, written: 400_000 }

/** The part to write, together with the owner; undefined if both are as they should be. */
export function planNixNode({ nixNode, spec, node, namespaces }: NixNodeFacts): NodeLookupSpec | undefined {
  const next = namespacesOf(namespaces)
  return nixNode.owner === node && covers(spec.namespaces, next) ? undefined : { namespaces: next }
}

/**
 * The part to write; undefined if it is as it should be. `wanted.letGo` has the UIDs of pods that are gone and that the
 * node still works for.
 */
export function planNodeBuilds(spec: NodeBuildsSpec, wanted: NodeBuildsSpec): NodeBuildsSpec | undefined {
  const next = {
    assigned: fitting(wanted.assigned.slice(0, NIXNODE_LIMITS.assigned)),
    letGo: wanted.letGo.slice(0, NIXNODE_LIMITS.letGo),
  }
  const isSame =
    textOf(next.assigned) === textOf(spec.assigned) && next.letGo.toSorted().join() === spec.letGo.toSorted().join()
  return isSame ? undefined : next
}

/** The others follow once some of these are done. */
function fitting(assigned: readonly AssignedView[]): readonly AssignedView[] {
  let bytes = 0
  return assigned.filter(each => {
    bytes += sizeOfAssigned(each)
    return bytes <= ASSIGNED_BYTES.written
  })
}

function namespacesOf(namespaces: ReadonlySet<string>): readonly string[] {
  const isAll = namespaces.has(ALL_NAMESPACES) || namespaces.size > NIXNODE_LIMITS.namespaces
  return isAll ? [ALL_NAMESPACES] : [...namespaces].sort()
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
  return known.has(ALL_NAMESPACES) || wanted.every(namespace => known.has(namespace))
}
