import { describe, expect, it } from 'vitest'
import { createNodes } from '../../../controller/state/nodes.ts'
import { READY_NODE } from '../views.ts'

const LEASE_MS = 40_000

function startNodes() {
  let now = Date.parse('2026-01-01T00:00:00Z')
  let changes = 0
  const nodes = createNodes({
    mirrored: () => READY_NODE,
    allMirrored: () => [READY_NODE],
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
    renew: () => {
      const before = changes
      nodes.leaseChanged('node-1', {
        node: 'node-1',
        renewTime: new Date(now).toISOString(),
        durationMs: LEASE_MS,
      })
      return changes > before
    },
    shim: () => nodes.state('node-1')?.shim,
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
