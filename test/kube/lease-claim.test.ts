import { describe, expect, test } from 'vitest'
import { observeLease, timeUntilFree } from '../../kube/leader-election.ts'
import { leases, microTime } from '../../kube/resources/lease.ts'

const OBSERVED_AT = 1_000

describe('a Lease may be taken', () => {
  test.each([
    ['immediately if its holder is empty', { holderIdentity: '' }, 1_000, 0],
    ['immediately if it has no holder field', {}, 1_000, 0],
    ['immediately by its own holder', { holderIdentity: 'me' }, 1_000, 0],
    ['only after it expires if another holds it', { holderIdentity: 'other' }, 1_000, 15_000],
    ['not shortly before it expires', { holderIdentity: 'other' }, 15_999, 1],
    ['when it expires', { holderIdentity: 'other' }, 16_000, 0],
    ['long after it has expired', { holderIdentity: 'other' }, 99_000, 0],
    // Clocks of other machines are not trusted.
    [
      'according to the own clock only',
      { holderIdentity: 'other', renewTime: '1990-01-01T00:00:00.000000Z' },
      1_000,
      15_000,
    ],
  ])('%s', (_, spec, now, left) => {
    const lease = makeLease('1', { leaseDurationSeconds: 15, ...spec })
    expect(timeUntilFree({ lease, observedAt: OBSERVED_AT }, 'me', now)).toBe(left)
  })
})

test('the observation of a Lease restarts only when the Lease was written', () => {
  const first = observeLease(undefined, makeLease('1'), 5)
  expect(first.observedAt).toBe(5)
  expect(observeLease(first, makeLease('1'), 9)).toBe(first)
  expect(observeLease(first, makeLease('2'), 9).observedAt).toBe(9)
})

test('times of a Lease have six fractional digits', () => {
  expect(microTime(new Date(0))).toBe('1970-01-01T00:00:00.000000Z')
})

function makeLease(resourceVersion: string, spec: object = {}) {
  const metadata = { name: 'l', namespace: 'n', uid: 'u', resourceVersion, creationTimestamp: '2026-01-01T00:00:00Z' }
  return leases.parse({ metadata, spec })
}
