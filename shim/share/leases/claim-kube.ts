import type { CallOptions, Kube } from '../../../kube/client/contract.ts'
import { type ClaimLease, claimLeases, type NewClaim, newClaim } from '../../../kube/resources/claim-lease.ts'
import { CLAIMS_NAMESPACE, SHIM } from '../../../kube/resources/names.ts'

/** The part of an API server that claims need. */
export type ClaimKube = Pick<Kube, 'get' | 'create' | 'patch' | 'watch'>

export function readLease(kube: ClaimKube, name: string, options: CallOptions): Promise<ClaimLease | undefined> {
  return kube.get(claimLeases, { namespace: CLAIMS_NAMESPACE, name }, options)
}

/** Undefined if the Lease does not exist. Throws ClusterConflict if it was changed. */
export function writeLease(
  kube: ClaimKube,
  name: string,
  body: object,
  options: CallOptions,
): Promise<ClaimLease | undefined> {
  // One field manager for all nodes: each one leaves a record in the object.
  const patch = { ...options, type: 'merge', fieldManager: SHIM } as const
  return kube.patch(claimLeases, { namespace: CLAIMS_NAMESPACE, name, body }, patch)
}

/** Throws ClusterConflict if it exists. */
export function createLease(kube: ClaimKube, name: string, claim: NewClaim, options: CallOptions): Promise<ClaimLease> {
  return kube.create(claimLeases, { namespace: CLAIMS_NAMESPACE, name, body: newClaim(claim) }, options)
}
