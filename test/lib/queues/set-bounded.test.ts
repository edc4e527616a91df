import { describe, expect, it } from 'vitest'
import { setBounded } from '../../../lib/queues/set-bounded.ts'

describe('a bounded map', () => {
  it('drops the key that was set longest ago', () => {
    const map = new Map<string, number>()
    for (const [value, key] of ['a', 'b', 'a', 'c'].entries()) setBounded(map, key, value, 2)
    expect([...map]).toEqual([
      ['a', 2],
      ['c', 3],
    ])
  })
})
