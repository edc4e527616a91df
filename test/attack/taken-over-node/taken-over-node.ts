import { expect } from 'vitest'
import type { Deployed, Member } from '../../deploy/deployed.ts'

/** What the suites of this folder share: one control plane, and the token of the shim of node a. */
export interface TakenOverNode {
  readonly deployed: () => Deployed
  readonly shim: () => Member
}

/** An error of an admission policy that says so. */
export function refusal(problem: string) {
  return expect.objectContaining({
    code: 'ClusterRefused',
    message: expect.stringMatching(new RegExp(`ValidatingAdmissionPolicy .*${problem}`, 's')),
  })
}
