import { expect, it } from 'vitest'
import type { NixBuildStatus } from '../../../../kube/resources/nixbuild.ts'
import { mayTakeClaim } from '../../../../shim/cluster/nixbuild/claim.ts'
import { NODE, nixBuild } from '../builds/nixbuilds.ts'

const OTHER = 'node-2'

const UNCLAIMED: [string, Partial<NixBuildStatus> | undefined][] = [
  ['that was made again', undefined],
  ['whose node was lost', { status: 'Pending' }],
  ['that failed elsewhere', { status: 'Failed', buildNode: OTHER }],
]
const TAKEN: [string, Partial<NixBuildStatus>][] = [
  ['that another builds', { status: 'Building', buildNode: OTHER }],
  ['that another has built', { status: 'Succeeded', buildNode: OTHER }],
  ['that this node builds', { status: 'Importing', buildNode: NODE }],
  ['that failed here', { status: 'Failed', buildNode: NODE }],
]

it.each(UNCLAIMED)('a node may claim a NixBuild %s during its own build', (_name, status) => {
  expect(mayTakeClaim(nixBuild({ ...(status && { status }) }), NODE)).toBe(true)
})

it.each(TAKEN)('a node may not newly claim a NixBuild %s during its own build', (_name, status) => {
  expect(mayTakeClaim(nixBuild({ status }), NODE)).toBe(false)
})
