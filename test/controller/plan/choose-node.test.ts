import { describe, expect, it } from 'vitest'
import { type BuildToPlace, chooseNode } from '../../../controller/plan/choose-node.ts'
import type { NodeState } from '../../../controller/views/node.ts'
import { GOOD_NODE } from '../views.ts'

const SYSTEM = GOOD_NODE.system ?? ''
const node = (name: string, more: Partial<NodeState> = {}): NodeState => ({ ...GOOD_NODE, name, ...more })
const build: BuildToPlace = { system: SYSTEM, nodeSelector: {}, recipe: 'team/1', countRunning: () => () => 0 }
const onFast = { nodeSelector: { disk: 'fast', zone: 'a' } }

describe('the chosen node', () => {
  it.each([
    ['is the only one', [node('a')], {}, {}, 'a'],
    ['is the one with the fewest builds', [node('a'), node('b'), node('c')], { a: 2, b: 1, c: 3 }, {}, 'b'],
    ['has the system of the build', [node('a', { system: 'aarch64-linux' }), node('b')], {}, {}, 'b'],
    ['is ready', [node('a', { ready: false }), node('b')], {}, {}, 'b'],
    ['is not cordoned', [node('a', { schedulable: false }), node('b')], {}, {}, 'b'],
    ['is not repelled', [node('a', { repelled: true }), node('b')], {}, {}, 'b'],
    ['may build', [node('a', { fetchOnly: true }), node('b')], {}, {}, 'b'],
    ['is not under pressure', [node('a', { pressure: 'DiskPressure' }), node('b')], {}, {}, 'b'],
    ['has no taint', [node('a', { taint: 'dedicated' }), node('b')], {}, {}, 'b'],
    ['has a shim', [node('a', { shim: 'none' }), node('b')], {}, {}, 'b'],
    ['has a living shim', [node('a', { shim: 'dead' }), node('b')], { b: 9 }, {}, 'b'],
    [
      'has all labels of the nodeSelector',
      [
        node('a', { labels: { disk: 'fast' } }),
        node('b', { labels: { disk: 'fast', zone: 'b' } }),
        node('c', { labels: { disk: 'fast', zone: 'a', other: 'x' } }),
      ],
      { c: 9 },
      onFast,
      'c',
    ],
  ])('%s', (_name, nodes, load: Record<string, number>, more, name) => {
    const countRunning = () => (node: string) => load[node] ?? 0
    expect(chooseNode(nodes, { ...build, ...more, countRunning })).toEqual({ node: name })
  })

  it('depends on the recipe if several are equally busy, but not on their order', () => {
    const nodes = Array.from({ length: 10 }, (_, n) => node(`worker-${n}`))
    const chosen = (recipe: string, from = nodes) => chooseNode(from, { ...build, recipe })
    const counts = new Map<unknown, number>()
    for (let n = 0; n < 1000; n += 1) {
      const choice = chosen(`team/${n}`)
      expect(chosen(`team/${n}`, nodes.toReversed())).toEqual(choice)
      const name = 'node' in choice ? choice.node : ''
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    expect([...counts.keys()].toSorted()).toEqual(nodes.map(({ name }) => name))
    // A tenth each; a fair draw leaves this range once in millions of draws.
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(50)
  })

  it('is another one after a node was added only if it is the added one', () => {
    const nodes = Array.from({ length: 9 }, (_, n) => node(`worker-${n}`))
    const more = [...nodes, node('worker-9')]
    for (let n = 0; n < 100; n += 1) {
      const each = { ...build, recipe: `team/${n}` }
      expect([chooseNode(nodes, each), { node: 'worker-9' }]).toContainEqual(chooseNode(more, each))
    }
  })

  it.each([
    ['no node at all', [], {}, 'the cluster has no node'],
    [
      'only other systems',
      [
        node('a', { system: 'aarch64-linux' }),
        node('b', { system: undefined }),
        node('c', { system: 'aarch64-linux' }),
      ],
      {},
      'no node is x86_64-linux; there are aarch64-linux, of no known system',
    ],
    ['one that is not ready', [node('a', { ready: false })], {}, 'of 1 node for x86_64-linux: 1 not ready'],
    [
      'only nodes that may not build',
      [
        node('a', { ready: false }),
        node('b', { schedulable: false }),
        node('c', { repelled: true }),
        node('d', { repelled: true }),
        node('e', { shim: 'none' }),
        node('f', { shim: 'dead' }),
        node('g', { system: 'aarch64-linux' }),
        node('h', { pressure: 'PIDPressure' }),
        node('i', { taint: 'dedicated' }),
        node('j', { fetchOnly: true }),
      ],
      {},
      'of 9 nodes for x86_64-linux: 1 not ready, 1 cordoned, 2 excluded by --node-repel, 1 without a shim, 1 with a shim that does not renew its Lease, 1 with PIDPressure, 1 with the taint dedicated, which --tolerate does not name, 1 with nix.build: never',
    ],
    [
      'no node with the labels',
      [node('a'), node('b', { labels: { disk: 'fast' } })],
      onFast,
      'of 2 nodes for x86_64-linux: 2 without the labels of its nodeSelector',
    ],
    [
      'too many reasons to name them all',
      Array.from({ length: 13 }, (_, n) => node(`worker-${n}`, { taint: `t${n}` })),
      {},
      expect.stringMatching(/1 with the taint t9, which --tolerate does not name, 3 for other reasons$/),
    ],
  ])('is none with %s, for the stated reason', (_name, nodes, more, none) => {
    const countRunning = () => expect.fail('unfinished builds were counted unnecessarily')
    expect(chooseNode(nodes, { ...build, ...more, countRunning })).toEqual({ none })
  })
})
