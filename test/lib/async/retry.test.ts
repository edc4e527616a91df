import { describe, expect, it, test } from 'vitest'
import { backOff, backOffMs, retry } from '../../../lib/async/retry.ts'

describe('retry', () => {
  const passing = (failures: number) => {
    let left = failures
    return async () => {
      left -= 1
      if (left >= 0) throw new Error(`${left} left`)
      return 'done'
    }
  }

  it('retries until an attempt succeeds', async () => {
    const pauses: unknown[] = []
    const beforeNext = async (failures: number, error: unknown) => pauses.push([failures, String(error)])
    await expect(retry(passing(2), { isTemporary: () => true, beforeNext })).resolves.toBe('done')
    expect(pauses).toEqual([
      [1, 'Error: 1 left'],
      [2, 'Error: 0 left'],
    ])
  })

  it('throws a final error without another attempt', async () => {
    const beforeNext = () => Promise.reject(new Error('never asked'))
    await expect(retry(passing(1), { isTemporary: () => false, beforeNext })).rejects.toThrow('0 left')
  })

  it('throws what beforeNext throws to give up', async () => {
    const beforeNext = () => Promise.reject(new Error('too long'))
    await expect(retry(passing(1), { isTemporary: () => true, beforeNext })).rejects.toThrow('too long')
  })
})

test.each([
  [1, 0, 50],
  [1, 1, 100],
  [3, 0, 200],
  [3, 1, 400],
  [8, 0.5, 7_500],
  [1_000, 1, 10_000],
])('after %i failures and with jitter %d the pause is %i ms', (failures, jitter, pause) => {
  expect(backOffMs(failures, undefined, () => jitter)).toBe(pause)
})

test('a pause ends when its signal aborts', async () => {
  await expect(backOff(1_000, AbortSignal.timeout(20), 2 ** 30)).resolves.toBeUndefined()
})
