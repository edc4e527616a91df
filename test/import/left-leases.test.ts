import { expect, it } from 'vitest'
import { FinalError, RetryableError } from '../../shim/errors.ts'
import { createLeftLeases } from '../../shim/import/left-leases.ts'

it.each([
  ['containerd was away', new RetryableError('ContainerdAway', 'nobody answers'), ['lease']],
  ['its thread crashed', new RetryableError('ImportInterrupted', 'the import broke off'), ['lease']],
  ['its archive was bad', new FinalError('ArchiveInvalid', 'bad'), []],
  ['it was cancelled', new RetryableError('Cancelled', 'cancelled'), []],
  ['the disk was full', new RetryableError('DiskFull', 'full'), []],
])('an import whose failure is that %s may have left its lease, or not', (_, error, left) => {
  const leases = createLeftLeases()
  leases.failed('lease', error)
  expect(leases.ids()).toEqual(left)
})

it('leases that were ended since are forgotten', () => {
  const leases = createLeftLeases()
  for (const lease of ['one', 'two']) leases.failed(lease, new RetryableError('ContainerdAway', 'nobody answers'))
  leases.ended(['one'])
  expect(leases.ids()).toEqual(['two'])
})
