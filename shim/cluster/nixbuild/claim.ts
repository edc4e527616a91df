import type { NixBuild, NixBuildNode } from '../../../kube/resources/nixbuild.ts'

/** Whether this node has the claim or may take it. */
export function isClaimable({ status }: NixBuild, node: string): boolean {
  if (status.buildNode === node) return true
  return status.status === undefined || status.status === 'Pending' || status.status === 'Failed'
}

/** Whether the NixBuild is unclaimed. */
export function isUnclaimed(nixBuild: NixBuild, node: string): boolean {
  return nixBuild.status.buildNode !== node && isClaimable(nixBuild, node)
}

/** Whether the NixBuild says that this node builds or imports it. */
export function isClaimed({ status }: NixBuild, node: string): boolean {
  return status.buildNode === node && (status.status === 'Building' || status.status === 'Importing')
}

/** The entry that lists this node as one that has the image. */
export function ownEntry({ status }: NixBuild, node: string): NixBuildNode | undefined {
  return status.nodes.find(({ name }) => name === node)
}
