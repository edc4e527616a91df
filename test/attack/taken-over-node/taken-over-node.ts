import { expect } from 'vitest'
import type { Deployed, Member } from '../../deploy/deployed.ts'

/** The control plane that the suites of this folder share, and the client with the token of node a's shim. */
export interface TakenOverNode {
  readonly deployed: () => Deployed
  readonly shim: () => Member
}

/** An error of an admission policy with this text. */
export function refusal(problem: string) {
  return expect.objectContaining({
    code: 'ClusterRefused',
    message: expect.stringMatching(new RegExp(`ValidatingAdmissionPolicy .*${problem}`, 's')),
  })
}
