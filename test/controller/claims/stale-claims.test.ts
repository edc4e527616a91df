import { describe, expect, it } from 'vitest'
import { type ClaimView, findStaleClaims } from '../../../controller/claims/stale-claims.ts'

const MINUTE = 60_000
const HASH = '0'.repeat(32)
const label = (kind: string) => ({ labels: { 'enbi.hrzn.ee/claim': kind } })
const PATH = { name: `path-${HASH}`, ...label('path') }
const SLOT = { name: 'slot-worker-1-0', ...label('slot') }

function isStale(claim: Partial<ClaimView>, minutes: number, present: readonly string[] = [], version = '1'): boolean {
  const claims = [{ ...PATH, uid: 'u', resourceVersion: '1', holder: '', ...claim }]
  const first = findStaleClaims({ claims, seen: new Map(), present: new Set(), now: 0 })
  const then = claims.map(each => ({ ...each, resourceVersion: version }))
  const later = { claims: then, seen: first.seen, present: new Set(present), now: minutes * MINUTE }
  return findStaleClaims(later).stale.length > 0
}

describe('a claim is removed or not:', () => {
  it.each([
    ['a released one', {}, 10, true],
    ['a released one, too early', {}, 9, false],
    ['a held one', { holder: 'worker-1' }, 59, false],
    ['a held one that nobody has renewed for an hour', { holder: 'worker-1' }, 60, true],
    ['a released slot', SLOT, 0, true],
    ['a held slot', { ...SLOT, holder: 'worker-1' }, 9, false],
    ['a held slot that nobody renews', { ...SLOT, holder: 'worker-1' }, 10, true],
    ['a Lease of another name', { name: 'path-x' }, 600, false],
    ['a Lease of another kind', label('other'), 600, false],
  ])('%s', (_name, claim, minutes, stale) => {
    expect(isStale(claim, minutes)).toBe(stale)
  })

  it('a released one whose path a node has', () => {
    expect(isStale({}, 600, [HASH])).toBe(false)
    expect(isStale({}, 600, ['1'.repeat(32)])).toBe(true)
  })

  it('one that has changed meanwhile', () => {
    expect(isStale({ holder: 'worker-1' }, 600, [], '2')).toBe(false)
  })
})
