import { expect, test } from 'vitest'
import { FinalError } from '../../../../lib/errors.ts'
import { createRememberedFailures } from '../../../../shim/pull/runs/remembered-failures.ts'

const HOUR_MS = 3_600_000
const MAX_KEPT_LENGTH = 2 * 1024 * 1024
/** As long as a message can be. */
const ERROR = new FinalError('BuilderFailed', 'x'.repeat(100_000))

test('failures with the longest messages are remembered as far as they fit, the latest first', () => {
  const failures = createRememberedFailures(HOUR_MS)
  const keys = Array.from({ length: 1000 }, (_, index) => `key-${index}`)
  for (const key of keys) failures.add(key, '', ERROR)
  const kept = keys.filter(key => failures.find(key, ''))
  const length = kept.reduce((sum, key) => sum + (failures.find(key, '')?.message.length ?? 0), 0)
  expect(length).toBeLessThanOrEqual(MAX_KEPT_LENGTH)
  expect(length).toBeGreaterThan(MAX_KEPT_LENGTH / 2)
  expect(kept).toEqual(keys.slice(-kept.length))
})

test('a failure that repeats takes room only once', () => {
  const failures = createRememberedFailures(HOUR_MS)
  failures.add('other', '', new FinalError('BuilderFailed', 'other'))
  for (let time = 0; time < 1000; time += 1) failures.add('same', '', ERROR)
  expect(failures.find('other', '')).toBeDefined()
})
