import { expect, it, vi } from 'vitest'
import { createLeftLeases } from '../../../shim/import/left-leases.ts'
import { PATIENT } from '../../patience.ts'

it('a left-over lease is ended again and again until it is gone, one attempt at a time', async () => {
  let isAway = true
  const tried: string[] = []
  const end = async (lease: string) => {
    tried.push(lease)
    if (isAway && tried.length >= 4) isAway = false
    else if (isAway) throw new Error('nobody answers')
  }
  const leases = createLeftLeases({ end, pauses: { first: 1, most: 1 } })
  leases.add('one')
  leases.add('two')
  await vi.waitFor(() => expect(tried).toEqual(['one', 'one', 'two', 'one', 'two']), PATIENT)
})
