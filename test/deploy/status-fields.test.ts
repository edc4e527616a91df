import { describe, expect, it } from 'vitest'
import { NIXBUILD_FIELDS } from '../../kube/resources/nixbuild.ts'
import { BUILD_FIELDS } from '../../kube/resources/nixbuild-status.ts'

/** About the NixBuild, whatever node builds it. */
const NODES = ['ready', 'building', 'failed', 'selected', 'missing']
const LASTING = ['status', 'observedGeneration', 'conditions', ...NODES, 'attempts']

describe("a field of a NixBuild's status", () => {
  it('is either removed when its node loses the build, or known to last', () => {
    expect([...BUILD_FIELDS, ...LASTING].sort()).toEqual(NIXBUILD_FIELDS.status.toSorted())
  })
})
