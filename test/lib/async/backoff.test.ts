import { expect, test } from 'vitest'
import { backOff, backOffMs } from '../../../lib/async/backoff.ts'

test.each([
  [1, 0, 50],
  [1, 1, 100],
  [3, 0, 200],
  [3, 1, 400],
  [8, 0.5, 7_500],
  [1_000, 1, 10_000],
])('after %i failures, with luck %d, the pause is %i ms', (failures, luck, pause) => {
  expect(backOffMs(failures, undefined, () => luck)).toBe(pause)
})

test('a pause ends with its signal', async () => {
  const begin = performance.now()
  await backOff(20, AbortSignal.timeout(20))
  expect(performance.now() - begin).toBeLessThan(3_000)
})
