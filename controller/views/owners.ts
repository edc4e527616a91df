import type { OwnerReference } from '../../kube/resources/metadata.ts'

/**
 * Later owners are not recorded. The NixBuild is deleted once all recorded owners are gone; pods that still need it
 * then get a new one.
 */
export const MAX_OWNERS = 20

/** Adds a pod's owner, such as a ReplicaSet or Job. Undefined if there is nothing to add. */
export function withOwner(
  owners: readonly OwnerReference[],
  owner: OwnerReference | undefined,
): readonly OwnerReference[] | undefined {
  if (owner === undefined || owners.length >= MAX_OWNERS) return undefined
  if (owners.some(({ uid }) => uid === owner.uid)) return undefined
  return [...owners, ownerOf(owner)]
}

/** Never a controller reference: a build has several owners, and none of them manages it. */
export function ownerOf({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return { apiVersion, kind, name, uid, controller: false }
}
