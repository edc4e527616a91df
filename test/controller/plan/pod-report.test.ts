import { describe, expect, it } from 'vitest'
import { podPatch } from '../../../controller/plan/pod-report.ts'
import { somePod } from '../views.ts'

const NOW = Date.parse('2026-01-01T01:00:00.123Z')
const TIME = '2026-01-01T01:00:00Z'
const BEFORE = '2026-01-01T00:00:00Z'

describe('the patch of a pod', () => {
  const set = { reason: 'Building', message: 'x' } as const
  it('is limited to this pod and one condition', () => {
    expect(podPatch(somePod(), { set }, NOW)).toEqual({
      metadata: { uid: 'uid-1' },
      status: {
        conditions: [
          {
            type: 'enbi.hrzn.ee/ImageBuilt',
            status: 'False',
            reason: 'Building',
            message: 'x',
            lastTransitionTime: TIME,
          },
        ],
      },
    })
  })

  it.each([
    ['keeps its time while it stays False', 'Building', BEFORE],
    ['has a new time when it becomes True', 'Built', TIME],
  ] as const)('%s', (_name, reason, lastTransitionTime) => {
    const condition = { type: 'enbi.hrzn.ee/ImageBuilt', status: 'False', lastTransitionTime: BEFORE }
    const pod = somePod({ status: { conditions: [{ type: 'Ready', status: 'False' }, condition] } })
    expect(podPatch(pod, { set: { reason, message: 'x' } }, NOW)).toMatchObject({
      status: { conditions: [{ lastTransitionTime }] },
    })
  })

  it('removes the condition', () => {
    expect(podPatch(somePod(), 'remove', NOW)).toMatchObject({
      status: { conditions: [{ $patch: 'delete', type: 'enbi.hrzn.ee/ImageBuilt' }] },
    })
  })
})
