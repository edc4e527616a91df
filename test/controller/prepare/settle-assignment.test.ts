import { describe, expect, it } from 'vitest'
import { chooseRestored } from '../../../controller/prepare/settle-assignment.ts'

const settle = (nodes: readonly string[], selected: readonly string[], buildNode?: string) =>
  chooseRestored({
    nodes,
    buildNode,
    isSelected: node => selected.includes(node),
    isFetchOnly: node => node.startsWith('fetch'),
  })

describe('of the nodes that a new controller finds, the one that builds', () => {
  it.each([
    ['is the only one', ['a'], [], undefined, 'a'],
    ['is the one of the status', ['a', 'b'], [], 'b', 'b'],
    ['is not the one of the status if that has lost it', ['a'], [], 'b', 'a'],
    ['is the one that is not selected', ['a', 'b', 'fetch'], ['a', 'fetch'], undefined, 'b'],
    ['is not selected, also if the status names one that is', ['a', 'b'], ['a'], 'a', 'b'],
    ['can build', ['fetch', 'b'], [], undefined, 'b'],
    ['is none if all are selected', ['a', 'b'], ['a', 'b'], 'a', undefined],
    ['is none if no other can build', ['a', 'fetch'], ['a'], 'fetch', undefined],
  ] as const)('%s', (_name, nodes, selected, buildNode, expected) => {
    expect(settle(nodes, selected, buildNode)).toBe(expected)
  })
})
