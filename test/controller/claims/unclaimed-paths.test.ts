import { describe, expect, it } from 'vitest'
import { findUnclaimedPaths } from '../../../controller/claims/unclaimed-paths.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import type { NodeBuildState } from '../../../kube/resources/nixnode.ts'
import { someEntry } from '../views.ts'

const nameOf = (letter: string) => `path-${letter.repeat(32)}`
const pathOf = (letter: string) => `/nix/store/${letter.repeat(32)}-app`

interface Case {
  readonly claims?: readonly string[]
  readonly serves?: boolean
  readonly state?: NodeBuildState
  readonly storePath?: string
  readonly found: number
}

describe('a path that a node has', () => {
  it.each<[string, Case]>([
    ['gets a claim if it has none', { found: 1 }],
    ['gets none if it has one', { claims: [nameOf('a')], found: 0 }],
    ['gets none if nobody can copy from the node', { serves: false, found: 0 }],
    ['gets none before the image is present', { state: 'Importing', found: 0 }],
    ['gets none if its name is no store path', { storePath: '/nix/store/app', found: 0 }],
  ])('%s', (_name, { claims = [], serves = true, state = 'Present', storePath = pathOf('a'), found }) => {
    const nodeBuilds = createNodeBuilds()
    nodeBuilds.put('worker-1', [someEntry('worker-1', { state, storePath })])
    const nixNodes = [{ name: 'worker-1', serves }]
    expect(findUnclaimedPaths({ claims: new Set(claims), nixNodes, nodeBuilds, max: 10 })).toHaveLength(found)
  })

  it('names up to eight nodes that have it, and no more paths at a time than allowed', () => {
    const nodeBuilds = createNodeBuilds()
    const nixNodes = Array.from({ length: 20 }, (_, index) => ({ name: `worker-${index}`, serves: true }))
    for (const { name } of nixNodes)
      nodeBuilds.put(name, [someEntry(name, { state: 'Present', storePath: pathOf('a') })])
    nodeBuilds.put('other', [someEntry('other', { state: 'Present', storePath: pathOf('b') })])
    const all = [...nixNodes, { name: 'other', serves: true }]
    const found = findUnclaimedPaths({ claims: new Set(), nixNodes: all, nodeBuilds, max: 1 })
    expect(found).toMatchObject([{ name: nameOf('a'), storePath: pathOf('a') }])
    expect(found[0]?.nodes).toEqual(nixNodes.slice(0, 8).map(({ name }) => name))
  })
})
