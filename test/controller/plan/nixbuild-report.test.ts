import { describe, expect, it } from 'vitest'
import type { MainStatus } from '../../../controller/plan/aggregate.ts'
import { reportPatch, statusPatch } from '../../../controller/plan/nixbuild-report.ts'
import { removeFields } from '../../../kube/resources/nixbuild-status.ts'
import { someBuild } from '../views.ts'

const NOW = Date.parse('2026-01-01T01:00:00.123Z')
const TIME = '2026-01-01T01:00:00Z'
const BEFORE = '2026-01-01T00:00:00Z'

describe('the patch of a status', () => {
  const other = { type: 'Other', status: 'True', reason: '', message: '' } as const
  const build = someBuild({
    metadata: { generation: 3 },
    status: {
      status: 'Building',
      buildNode: 'node-1',
      conditions: [
        other,
        { type: 'Complete', status: 'False', reason: 'Building', message: 'x', lastTransitionTime: BEFORE },
        { type: 'Success', status: 'Unknown' },
      ],
    },
  })

  it('takes a build from its node, and keeps other conditions and the time of one that stays False', () => {
    const attempts = [{ node: 'node-1', endTime: TIME, reason: 'node node-1 is gone' }]
    const texts = { reason: 'GivenToNode', message: 'assigned to node node-2; before: node node-1 is gone' }
    expect(statusPatch(build, { type: 'assign', node: 'node-2', attempts }, NOW)).toEqual({
      status: 'Pending',
      observedGeneration: 3,
      attempts,
      ...removeFields(),
      conditions: [
        other,
        { type: 'Complete', status: 'False', ...texts, observedGeneration: 3, lastTransitionTime: BEFORE },
        { type: 'Success', status: 'Unknown', ...texts, observedGeneration: 3, lastTransitionTime: TIME },
      ],
    })
  })

  it('says why a build is not assigned', () => {
    const action = { type: 'leavePending', reason: 'NoNode', message: 'why', attempts: [] } as const
    expect(statusPatch(someBuild(), action, NOW)).toMatchObject({
      status: 'Pending',
      conditions: [
        { type: 'Complete', status: 'False', reason: 'NoNode', message: 'why', lastTransitionTime: TIME },
        { type: 'Success', status: 'Unknown', reason: 'NoNode', message: 'why', lastTransitionTime: TIME },
      ],
    })
  })

  it('says which nodes are selected', () => {
    const groups = { selected: { count: 1, nodes: ['a'] } }
    const action = { type: 'assign', node: 'node-2', attempts: [], groups } as const
    expect(statusPatch(build, action, NOW)).toMatchObject({ status: 'Pending', ...groups })
  })

  it('finishes a build that is given up', () => {
    const at = { observedGeneration: 3, lastTransitionTime: TIME }
    expect(statusPatch(build, { type: 'fail', message: 'why', attempts: [] }, NOW)).toMatchObject({
      status: 'Failed',
      completionTime: TIME,
      conditions: [
        other,
        { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed', ...at },
        { type: 'Success', status: 'False', reason: 'ResultFailure', message: 'why', ...at },
      ],
    })
  })
})

describe('a report about a NixBuild that has changed', () => {
  const none = { count: 0, nodes: [] }
  const news = { ready: none, building: none, failed: none, selected: none, missing: none, isLeft: false }
  const at = { observedGeneration: 1, lastTransitionTime: BEFORE }
  const conditions = [
    { type: 'Other', status: 'True', reason: '', message: '', observedGeneration: 1 },
    { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded', ...at },
    { type: 'Success', status: 'True', reason: 'ResultSuccess', message: 'Image loaded as sha256:1', ...at },
  ] as const
  const result = { kind: 'Succeeded', imageId: 'sha256:1' } as const
  const report = (generation: number, main?: MainStatus) =>
    reportPatch(
      someBuild({ metadata: { generation }, status: { status: 'Succeeded', observedGeneration: 1, conditions } }),
      { ...news, main },
      NOW,
    )
  const [other, ...own] = conditions

  it.each([
    ['with new conditions', { phase: 'Succeeded', result, fields: undefined } as const],
    ['with those that it has', undefined],
  ])('says that its conditions are about the change, %s', (_name, main) => {
    expect(report(2, main)).toEqual({
      observedGeneration: 2,
      conditions: [other, ...own.map(condition => ({ ...condition, observedGeneration: 2 }))],
    })
    expect(report(1, main)).toBeUndefined()
  })
})
