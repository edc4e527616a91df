import { describe, expect, it } from 'vitest'
import { type NodeState, nodeState, sameNodeState } from '../../../controller/views/node.ts'

const SYSTEM = 'x86_64-linux'
const good: NodeState = {
  name: 'a',
  system: SYSTEM,
  ready: true,
  schedulable: true,
  repelled: false,
  shim: 'alive',
}

describe('a node', () => {
  it.each([
    [good, { ...good }, true],
    [good, undefined, false],
    [undefined, undefined, true],
    [good, { ...good, ready: false }, false],
    [good, { ...good, shim: 'dead' as const }, false],
    [good, { ...good, repelled: true }, false],
    [good, { ...good, schedulable: false }, false],
    [good, { ...good, system: undefined }, false],
  ])('with the state %j equals %j: %s', (a, b, same) => {
    expect(sameNodeState(a, b)).toBe(same)
  })

  it('is repelled according to its labels', () => {
    const view = { name: 'a', uid: 'uid-1', system: SYSTEM, ready: true, schedulable: true, labels: { pool: 'db' } }
    const repels = (labels: Readonly<Record<string, string>>) => labels.pool === 'db'
    expect(nodeState(view, { shim: 'alive', repels })).toEqual({ ...good, repelled: true })
  })
})
