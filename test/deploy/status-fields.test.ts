import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NIXBUILD_FIELDS } from '../../kube/resources/nixbuild.ts'
import { CLAIM_FIELDS } from '../../kube/resources/nixbuild-status.ts'

const ADMISSION = join(import.meta.dirname, '../../deploy/base/shim-admission.yaml')
/** About the NixBuild, whatever node has the claim. */
const LASTING = ['status', 'observedGeneration', 'conditions', 'nodes', 'attempts']
/** Rules of their own protect these. */
const PROTECTED_ELSEWHERE = ['nodes', 'attempts']

describe("a field of a NixBuild's status", () => {
  it('is either removed with the claim or known to last', () => {
    expect([...CLAIM_FIELDS, ...LASTING].sort()).toEqual(NIXBUILD_FIELDS.status.toSorted())
  })

  it('cannot be changed by a node that does not have the build', async () => {
    const [, isBuildSame = ''] = /name: isBuildSame\n(.*?)\n {4}- name:/s.exec(await readFile(ADMISSION, 'utf8')) ?? []
    const compared = [...isBuildSame.matchAll(/oldObject\.\?status\.\?(\w+) == object\.\?status\.\?\1\b/g)]
    expect([...compared.map(([, field]) => field), ...PROTECTED_ELSEWHERE].sort()).toEqual(
      NIXBUILD_FIELDS.status.toSorted(),
    )
  })
})
