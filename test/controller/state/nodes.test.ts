import { describe, expect, it } from 'vitest'
import { createNodes } from '../../../controller/state/nodes.ts'
import { READY_NODE } from '../views.ts'

const LEASE_MS = 40_000

function startNodes() {
  let now = Date.parse('2026-01-01T00:00:00Z')
  let changes = 0
  let reads = 0
  const nodes = createNodes({
    mirrored: () => READY_NODE,
    allMirrored() {
      reads += 1
      return [READY_NODE]
    },
    isFetchOnly: () => false,
    repels: () => false,
    tolerations: [],
    onChange: () => {
      changes += 1
    },
    now: () => now,
  })
  return {
    pass: (ms: number) => {
      now += ms
    },
    /** Whether the renewal was reported. */
    renew: (durationMs = LEASE_MS) => {
      const before = changes
      nodes.leaseChanged('node-1', {
        node: 'node-1',
        renewTime: new Date(now).toISOString(),
        durationMs,
      })
      return changes > before
    },
    shim: () => nodes.state('node-1')?.shim,
    /** How often all nodes were read. */
    reads: () => reads,
    shims: () => nodes.states().map(({ shim }) => shim),
  }
}

describe('a shim', () => {
  it('is reported at its first renewal, not at each one', () => {
    const { pass, renew } = startNodes()
    expect(renew()).toBe(true)
    pass(10_000)
    expect(renew()).toBe(false)
  })

  it('that comes back is reported, although its absence was not', () => {
    const { pass, renew, shim } = startNodes()
    renew()
    pass(LEASE_MS)
    expect(shim()).toBe('dead')
    expect(renew()).toBe(true)
    expect(shim()).toBe('alive')
  })
})

it('the states of all nodes are read again only when one has changed or a shim has ended', () => {
  const { pass, renew, shims, reads } = startNodes()
  expect(shims()).toEqual(['none'])
  renew()
  for (let look = 0; look < 2; look += 1) expect(shims()).toEqual(['alive'])
  expect(reads()).toBe(2)
  pass(LEASE_MS - 1)
  renew(2)
  expect(shims()).toEqual(['alive'])
  expect(reads()).toBe(2)
  pass(2)
  expect(shims()).toEqual(['dead'])
  renew()
  expect(shims()).toEqual(['alive'])
})
