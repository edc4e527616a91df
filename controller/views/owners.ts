import type { OwnerReference } from '../../kube/resources/metadata.ts'

/** More are not written down: deletion cascades once all that are have gone, and whoever still wants the build then gets a new one. */
export const MAX_OWNERS = 20

/** `owners` with the ReplicaSet, Job … of a pod added; undefined when there is nothing to add. */
export function withOwner(
  owners: readonly OwnerReference[],
  owner: OwnerReference | undefined,
): readonly OwnerReference[] | undefined {
  if (owner === undefined || owners.length >= MAX_OWNERS) return undefined
  if (owners.some(({ uid }) => uid === owner.uid)) return undefined
  return [...owners, ownerOf(owner)]
}

/** Not as a controller: a build has several owners, and none of them manages it. */
export function ownerOf({ apiVersion, kind, name, uid }: OwnerReference): OwnerReference {
  return { apiVersion, kind, name, uid, controller: false }
}
