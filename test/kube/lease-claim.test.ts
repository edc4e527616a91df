import { describe, expect, test } from 'vitest'
import { look, timeUntilFree } from '../../kube/leader-election.ts'
import { leaseEnd, leases, microTime } from '../../kube/resources/lease.ts'

const SEEN_AT = 1_000

describe('a Lease may be taken', () => {
  test.each([
    ['at once when nobody holds it', { holderIdentity: '' }, 1_000, 0],
    ['at once when it has no holder at all', {}, 1_000, 0],
    ['at once when one holds it oneself', { holderIdentity: 'me' }, 1_000, 0],
    ['only after its time when another holds it', { holderIdentity: 'other' }, 1_000, 15_000],
    ['a little later', { holderIdentity: 'other' }, 15_999, 1],
    ['when its time is over', { holderIdentity: 'other' }, 16_000, 0],
    ['long after', { holderIdentity: 'other' }, 99_000, 0],
    // Another machine's clock may say anything.
    ['by our own clock', { holderIdentity: 'other', renewTime: '1990-01-01T00:00:00.000000Z' }, 1_000, 15_000],
  ])('%s', (_, spec, now, left) => {
    const lease = makeLease('1', { leaseDurationSeconds: 15, ...spec })
    expect(timeUntilFree({ lease, seenAt: SEEN_AT }, 'me', now)).toBe(left)
  })
})

test('a Lease that has been written since is seen afresh, one that has not as of then', () => {
  const first = look(undefined, makeLease('1'), 5)
  expect(first.seenAt).toBe(5)
  expect(look(first, makeLease('1'), 9)).toBe(first)
  expect(look(first, makeLease('2'), 9).seenAt).toBe(9)
})

describe('a Lease ends', () => {
  test.each([
    [
      { holderIdentity: 'x', renewTime: '2026-01-01T00:00:00.000000Z', leaseDurationSeconds: 40 },
      '2026-01-01T00:00:40Z',
    ],
    [{ holderIdentity: '', renewTime: '2026-01-01T00:00:00.000000Z', leaseDurationSeconds: 40 }, undefined],
    [{ holderIdentity: 'x', leaseDurationSeconds: 40 }, undefined],
    [{ holderIdentity: null, renewTime: null, leaseDurationSeconds: null }, undefined],
  ])('%j at %s', (spec, end) => {
    expect(leaseEnd(makeLease('1', spec))).toBe(end === undefined ? undefined : Date.parse(end))
  })
})

test('times of a Lease have six digits', () => {
  expect(microTime(new Date(0))).toBe('1970-01-01T00:00:00.000000Z')
})

function makeLease(resourceVersion: string, spec: object = {}) {
  const metadata = { name: 'l', namespace: 'n', uid: 'u', resourceVersion, creationTimestamp: '2026-01-01T00:00:00Z' }
  return leases.parse({ metadata, spec })
}
