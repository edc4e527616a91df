import type { NixBuild, NixBuildNode } from '../../../kube/resources/nixbuild.ts'

/** Whether the NixBuild is this node's to build, or can become so. */
export function isClaimable({ status }: NixBuild, node: string): boolean {
  if (status.buildNode === node) return true
  return status.status === undefined || status.status === 'Pending' || status.status === 'Failed'
}

/** Whether nobody is at work on the NixBuild, although this node may think that another is. */
export function isUnclaimed(nixBuild: NixBuild, node: string): boolean {
  return nixBuild.status.buildNode !== node && isClaimable(nixBuild, node)
}

/** Whether the NixBuild says that this node is at work on it. */
export function isClaimed({ status }: NixBuild, node: string): boolean {
  return status.buildNode === node && (status.status === 'Building' || status.status === 'Importing')
}

/** The entry by which the NixBuild says that this node has the image. */
export function ownEntry({ status }: NixBuild, node: string): NixBuildNode | undefined {
  return status.nodes.find(({ name }) => name === node)
}
