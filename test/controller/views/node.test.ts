import { describe, expect, it } from 'vitest'
import { nodeState, nodes, sameNodeState } from '../../../controller/views/node.ts'
import { parseToleration } from '../../../controller/views/taint.ts'
import { GOOD_NODE } from '../views.ts'

const rules = { fetchOnly: false, repels: () => false, tolerations: [] }

function view(spec: object, conditions: readonly object[] = [], annotations: object = {}) {
  const metadata = { name: 'a', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', annotations }
  const nodeInfo = { architecture: 'amd64', operatingSystem: 'linux' }
  const ready = { type: 'Ready', status: 'True' }
  return nodes.parse({ metadata, spec, status: { nodeInfo, conditions: [ready, ...conditions] } })
}

describe('a node', () => {
  it.each([
    [GOOD_NODE, { ...GOOD_NODE }, true],
    [GOOD_NODE, undefined, false],
    [undefined, undefined, true],
    [GOOD_NODE, { ...GOOD_NODE, ready: false }, false],
    [GOOD_NODE, { ...GOOD_NODE, shim: 'dead' as const }, false],
    [GOOD_NODE, { ...GOOD_NODE, repelled: true }, false],
    [GOOD_NODE, { ...GOOD_NODE, schedulable: false }, false],
    [GOOD_NODE, { ...GOOD_NODE, system: undefined }, false],
    [GOOD_NODE, { ...GOOD_NODE, labels: { pool: 'db' } }, false],
  ])('with the state %j equals %j: %s', (a, b, same) => {
    expect(sameNodeState(a, b)).toBe(same)
  })

  it('is repelled according to its labels', () => {
    const labels = { pool: 'db' }
    const repels = (labels: Readonly<Record<string, string>>) => labels.pool === 'db'
    expect(nodeState({ ...view({}), labels }, { ...rules, shim: 'alive', repels })).toEqual({
      ...GOOD_NODE,
      labels,
      repelled: true,
    })
  })

  it.each(['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'])('has its condition %s', type => {
    expect(view({}, [{ type, status: 'True' }]).pressure).toBe(type)
    expect(view({}, [{ type, status: 'False' }]).pressure).toBeUndefined()
  })

  it('has the first taint that is not tolerated', () => {
    const node = view({
      taints: [
        { key: 'soft', effect: 'PreferNoSchedule' },
        { key: 'first', effect: 'NoSchedule' },
        { key: 'second', value: 'x', effect: 'NoExecute' },
      ],
    })
    const taintOf = (...tolerations: string[]) =>
      nodeState(node, { ...rules, shim: 'alive', tolerations: tolerations.map(parseToleration) }).taint
    expect(taintOf()).toBe('first')
    expect(taintOf('first')).toBe('second')
    expect(taintOf('first', 'second=x')).toBeUndefined()
  })

  it.each([
    [{}, { value: undefined, byUs: false }],
    [{ 'cluster-autoscaler.kubernetes.io/scale-down-disabled': 'false' }, { value: 'false', byUs: false }],
    [
      {
        'cluster-autoscaler.kubernetes.io/scale-down-disabled': 'true',
        'enbi.hrzn.ee/scale-down-disabled': 'true',
      },
      { value: 'true', byUs: true },
    ],
  ])('with the annotations %j tells the cluster autoscaler %j', (annotations, keep) => {
    expect(view({}, [], annotations).keep).toEqual(keep)
  })
})
