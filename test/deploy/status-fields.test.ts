import { describe, expect, it } from 'vitest'
import { NIXBUILD_FIELDS } from '../../kube/resources/nixbuild.ts'
import { CLAIM_FIELDS } from '../../kube/resources/nixbuild-status.ts'

/** About the NixBuild, whatever node has the claim. */
const LASTING = ['status', 'observedGeneration', 'conditions', 'nodes', 'attempts']

describe("a field of a NixBuild's status", () => {
  it('is either removed with the claim or known to last', () => {
    expect([...CLAIM_FIELDS, ...LASTING].sort()).toEqual(NIXBUILD_FIELDS.status.toSorted())
  })
})
