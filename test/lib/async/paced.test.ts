import { expect, test } from 'vitest'
import { paced } from '../../../lib/async/paced.ts'

async function* chunksOf(count: number) {
  for (let number = 0; number < count; number += 1) yield Buffer.alloc(100)
}

test('chunks pass without a pause up to the burst, and then at the given rate', async () => {
  let time = 0
  const clock = {
    now: () => time,
    wait: async (ms: number) => {
      time += ms
    },
  }
  const times: number[] = []
  for await (const _ of paced(chunksOf(15), { bytesPerSecond: 1000, burstBytes: 1000 }, clock)) times.push(time)
  expect(times).toEqual([...Array.from({ length: 11 }, () => 0), 100, 200, 300, 400])
})
