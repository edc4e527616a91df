import { describe, expect, it } from 'vitest'
import type { Condition } from '../../../kube/resources/condition.ts'
import { type NixBuildResult, nixBuildConditions } from '../../../kube/resources/nixbuild-status.ts'

const BEFORE = '2026-01-01T00:00:00Z'
const NOW = '2026-01-01T01:00:00Z'
const context = { conditions: [], generation: 3, now: NOW }
const undecided = { kind: 'Undecided', reason: 'Building', message: 'x' } as const

describe('the conditions of a NixBuild', () => {
  it.each<[string, NixBuildResult, Condition['status'], Condition['status']]>([
    ['has no result yet', undecided, 'False', 'Unknown'],
    ['succeeded', { kind: 'Succeeded', imageId: 'sha256:1' }, 'True', 'True'],
    ['succeeded but not on all nodes', { kind: 'Succeeded', imageId: 'sha256:1', waiting: 'x' }, 'False', 'True'],
    ['failed', { kind: 'Failed', message: 'x' }, 'True', 'False'],
  ])('are both present with the generation if it %s', (_name, result, complete, success) => {
    expect(nixBuildConditions(result, context)).toMatchObject([
      { type: 'Complete', status: complete, observedGeneration: 3, lastTransitionTime: NOW },
      { type: 'Success', status: success, observedGeneration: 3, lastTransitionTime: NOW },
    ])
  })

  it('keep their times while their status stays', () => {
    const conditions: Condition[] = [
      { type: 'Complete', status: 'False', reason: '', message: '', lastTransitionTime: BEFORE },
      { type: 'Success', status: 'False', reason: '', message: '', lastTransitionTime: BEFORE },
    ]
    expect(nixBuildConditions(undecided, { ...context, conditions })).toMatchObject([
      { type: 'Complete', lastTransitionTime: BEFORE },
      { type: 'Success', lastTransitionTime: NOW },
    ])
  })

  it('stand beside those of other writers in a merge patch', () => {
    const other: Condition = { type: 'Other', status: 'True', reason: '', message: '' }
    const before = [other, ...nixBuildConditions(undecided, context)]
    const after = nixBuildConditions({ kind: 'Failed', message: 'x' }, { ...context, conditions: before })
    expect(after).toMatchObject([other, { type: 'Complete', status: 'True' }, { type: 'Success', status: 'False' }])
  })
})
