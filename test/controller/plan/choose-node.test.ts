import { describe, expect, it } from 'vitest'
import { chooseNode } from '../../../controller/plan/choose-node.ts'
import type { NodeState } from '../../../controller/views/node.ts'

const SYSTEM = 'x86_64-linux'
const good: NodeState = { name: 'a', system: SYSTEM, ready: true, schedulable: true, repelled: false, shim: 'alive' }
const node = (name: string, more: Partial<NodeState> = {}): NodeState => ({ ...good, name, ...more })

describe('the chosen node', () => {
  it.each([
    ['is the only one', [node('a')], {}, 'a'],
    ['is the first by name of idle ones', [node('b'), node('a'), node('c')], {}, 'a'],
    ['is the one with the fewest builds', [node('a'), node('b'), node('c')], { a: 2, b: 1, c: 3 }, 'b'],
    ['is the first by name of equally busy ones', [node('c'), node('b'), node('a')], { a: 2, b: 1, c: 1 }, 'b'],
    ['has the system of the build', [node('a', { system: 'aarch64-linux' }), node('b')], {}, 'b'],
    ['is ready', [node('a', { ready: false }), node('b')], {}, 'b'],
    ['is not cordoned', [node('a', { schedulable: false }), node('b')], {}, 'b'],
    ['is not repelled', [node('a', { repelled: true }), node('b')], {}, 'b'],
    ['has a shim', [node('a', { shim: 'none' }), node('b')], {}, 'b'],
    ['has a living shim', [node('a', { shim: 'dead' }), node('b')], { b: 9 }, 'b'],
  ])('%s', (_name, nodes, load: Record<string, number>, name) => {
    expect(chooseNode(nodes, { system: SYSTEM, countRunning: () => node => load[node] ?? 0 })).toEqual({ node: name })
  })

  it.each([
    ['no node at all', [], 'the cluster has no node'],
    [
      'only other systems',
      [
        node('a', { system: 'aarch64-linux' }),
        node('b', { system: undefined }),
        node('c', { system: 'aarch64-linux' }),
      ],
      'no node is x86_64-linux; there are aarch64-linux, of no known system',
    ],
    ['one that is not ready', [node('a', { ready: false })], 'of 1 node for x86_64-linux: 1 not ready'],
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
      ],
      'of 6 nodes for x86_64-linux: 1 not ready, 1 cordoned, 2 excluded by --node-repel, 1 without a shim, 1 with a shim that does not renew its Lease',
    ],
  ])('is none with %s, for the stated reason', (_name, nodes, none) => {
    const countRunning = () => expect.fail('unfinished builds were counted unnecessarily')
    expect(chooseNode(nodes, { system: SYSTEM, countRunning })).toEqual({ none })
  })
})
