import type { NixBuild, NixBuildNode } from '../../../kube/resources/nixbuild.ts'

/** Whether this node has the claim or may take it. */
export function isClaimable({ status }: NixBuild, node: string): boolean {
  if (status.buildNode === node) return true
  return status.status === undefined || status.status === 'Pending' || status.status === 'Failed'
}

/** Whether the claim is not on this node, and no other node is at work or has succeeded. */
export function mayTakeClaim(nixBuild: NixBuild, node: string): boolean {
  return nixBuild.status.buildNode !== node && isClaimable(nixBuild, node)
}

/** Whether the NixBuild says that this node builds or imports it. */
export function isAtWork({ status }: NixBuild, node: string): boolean {
  return status.buildNode === node && (status.status === 'Building' || status.status === 'Importing')
}

/** Whether no other node has the claim, not even with a failure. */
export function isFreeFor({ status }: NixBuild, node: string): boolean {
  return status.buildNode === undefined || status.buildNode === node
}

/** The entry that lists this node as one that has the image. */
export function ownEntry({ status }: NixBuild, node: string): NixBuildNode | undefined {
  return status.nodes.find(({ name }) => name === node)
}
