import { describe, expect, it } from 'vitest'
import { fetchOnlyProblem, nodeProblem } from '../../../controller/plan/node-problem.ts'
import type { NodeState } from '../../../controller/views/node.ts'
import { GOOD_NODE } from '../views.ts'

const node = (more: Partial<NodeState>): NodeState => ({ ...GOOD_NODE, ...more })

describe('a node', () => {
  it.each([
    [undefined, 'node a is gone'],
    [GOOD_NODE, undefined],
    [node({ ready: false }), 'node a is not ready'],
    [node({ shim: 'none' }), 'no shim runs on node a'],
    [node({ shim: 'dead' }), 'the shim of node a does not renew its Lease'],
    [node({ schedulable: false, repelled: true }), undefined],
  ])('with the state %j has the problem: %s', (state, reason) => {
    expect(nodeProblem('a', state)).toBe(reason)
  })

  it.each([
    [undefined, undefined],
    [GOOD_NODE, undefined],
    [node({ fetchOnly: true }), 'node a builds nothing (nix.build: never)'],
  ])('with the state %j builds nothing for the reason: %s', (state, reason) => {
    expect(fetchOnlyProblem('a', state)).toBe(reason)
  })
})
