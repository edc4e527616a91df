import { describe, expect, it } from 'vitest'
import { readSign, shimLife } from '../../../controller/reconcile/node-state.ts'
import { shimLeaseOf } from '../../../controller/views/shim-lease.ts'
import { leases } from '../../../kube/resources/lease.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const lease = (renewTime: string) => ({ node: 'a', renewTime, durationMs: 40_000 })
const at = (ms: number) => new Date(NOW + ms).toISOString()

describe('a shim', () => {
  it.each([
    ['renewed just now', at(0), 'alive'],
    ['renewed lately', at(-39_000), 'alive'],
    ['renewed long ago', at(-41_000), 'silent'],
    ['never renewed', '', 'silent'],
    ['renewed in the future, by a clock that is ahead', at(3_600_000), 'alive'],
  ])('whose Lease was %s, as first seen, is %s', (_name, renewTime, life) => {
    expect(shimLife(readSign(undefined, lease(renewTime), NOW), NOW)).toBe(life)
  })

  it('is none without a Lease', () => {
    expect(shimLife(undefined, NOW)).toBe('none')
  })

  it('with a clock ahead is believed for no longer than its Lease is for', () => {
    const sign = readSign(undefined, lease(at(3_600_000)), NOW)
    expect(shimLife(sign, NOW + 40_000)).toBe('silent')
  })

  it('is believed for ten minutes at most, whatever its Lease says', () => {
    const spec = { holderIdentity: 'a', renewTime: at(0), leaseDurationSeconds: 31_536_000 }
    const metadata = { name: 'enbi-shim-a', uid: 'u', resourceVersion: '1', creationTimestamp: at(0) }
    const found = shimLeaseOf(leases.parse({ metadata, spec }))
    expect(found && shimLife(readSign(undefined, found, NOW), NOW + 600_000)).toBe('silent')
  })

  it('with a clock behind is alive once a renewal was seen', () => {
    const first = readSign(undefined, lease(at(-600_000)), NOW)
    const second = readSign(first, lease(at(-590_000)), NOW + 10_000)
    expect(shimLife(first, NOW)).toBe('silent')
    expect(shimLife(second, NOW + 10_000)).toBe('alive')
    expect(shimLife(second, NOW + 50_000)).toBe('silent')
  })

  it('that is listed again without a renewal is as silent as before', () => {
    const first = readSign(undefined, lease(at(0)), NOW)
    expect(readSign(first, lease(at(0)), NOW + 39_000)).toBe(first)
  })
})
