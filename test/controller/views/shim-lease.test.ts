import { describe, expect, it } from 'vitest'
import { observeRenewal, shimLeaseOf, shimState } from '../../../controller/views/shim-lease.ts'
import { leases } from '../../../kube/resources/lease.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const lease = (renewTime: string) => ({ node: 'a', renewTime, durationMs: 40_000 })
const at = (ms: number) => new Date(NOW + ms).toISOString()

describe('a shim', () => {
  it.each([
    ['renewed just now', at(0), 'alive'],
    ['renewed recently', at(-39_000), 'alive'],
    ['renewed long ago', at(-41_000), 'dead'],
    ['never renewed', '', 'dead'],
    ['renewed in the future, by a clock that is ahead', at(3_600_000), 'alive'],
  ])('whose Lease was %s when first observed is %s', (_name, renewTime, state) => {
    expect(shimState(observeRenewal(undefined, lease(renewTime), NOW), NOW)).toBe(state)
  })

  it('has the state none without a Lease', () => {
    expect(shimState(undefined, NOW)).toBe('none')
  })

  it('with a clock that is ahead counts as alive for at most the duration of its Lease', () => {
    const renewal = observeRenewal(undefined, lease(at(3_600_000)), NOW)
    expect(shimState(renewal, NOW + 40_000)).toBe('dead')
  })

  it('counts as alive for at most ten minutes, regardless of its Lease', () => {
    const spec = { holderIdentity: 'a', renewTime: at(0), leaseDurationSeconds: 31_536_000 }
    const metadata = { name: 'enbi-shim-a', uid: 'u', resourceVersion: '1', creationTimestamp: at(0) }
    const found = shimLeaseOf(leases.parse({ metadata, spec }))
    expect(found && shimState(observeRenewal(undefined, found, NOW), NOW + 600_000)).toBe('dead')
  })

  it('with a clock that is behind is alive once a renewal was observed', () => {
    const first = observeRenewal(undefined, lease(at(-600_000)), NOW)
    const second = observeRenewal(first, lease(at(-590_000)), NOW + 10_000)
    expect(shimState(first, NOW)).toBe('dead')
    expect(shimState(second, NOW + 10_000)).toBe('alive')
    expect(shimState(second, NOW + 50_000)).toBe('dead')
  })

  it('that is listed again without a renewal stays dead', () => {
    const first = observeRenewal(undefined, lease(at(0)), NOW)
    expect(observeRenewal(first, lease(at(0)), NOW + 39_000)).toBe(first)
  })
})
