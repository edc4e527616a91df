import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { BuildProgress } from '../../../../shim/nix/log/build-progress.ts'
import { createProgressBatches } from '../../../../shim/nix/log/build-progress.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const line = (text: string): BuildProgress => ({ phase: 'log', line: text })

test('the first progress is reported immediately, and further progress a few times per second', () => {
  const reported: (readonly BuildProgress[])[] = []
  const batches = createProgressBatches(batch => reported.push(batch))
  batches.push({ phase: 'evaluating', runId: 'run' })
  vi.advanceTimersByTime(0)
  expect(reported).toEqual([[{ phase: 'evaluating', runId: 'run' }]])
  for (const text of ['a', 'b']) batches.push(line(text))
  vi.advanceTimersByTime(200)
  expect(reported).toHaveLength(1)
  vi.advanceTimersByTime(100)
  expect(reported.slice(1)).toEqual([[line('a'), line('b')]])
})

test.each([
  { what: 'many lines', count: 10_000, text: 'x' },
  { what: 'long lines', count: 100, text: 'x'.repeat(4096) },
])('of $what, the newest are reported, with the number of the others', ({ count, text }) => {
  const reported: BuildProgress[] = []
  const batches = createProgressBatches(batch => reported.push(...batch))
  for (let number = 0; number < count; number += 1) batches.push(line(text))
  batches.flush()
  const [first, ...rest] = reported
  expect(first).toEqual(line(`… ${count - rest.length} lines, which only the log file has …`))
  expect(rest.length).toBeGreaterThan(0)
  expect(JSON.stringify(reported).length).toBeLessThan(70_000)
})

test('log lines do not displace the latest progress of each phase', () => {
  const reported: BuildProgress[] = []
  const batches = createProgressBatches(batch => reported.push(...batch))
  batches.push({ phase: 'evaluating', runId: 'run' })
  for (let done = 0; done < 1000; done += 1) batches.push({ phase: 'building', done, expected: 1000 })
  for (let number = 0; number < 1000; number += 1) batches.push(line('x'))
  batches.flush()
  expect(reported.filter(({ phase }) => phase !== 'log')).toEqual([
    { phase: 'evaluating', runId: 'run' },
    { phase: 'building', done: 999, expected: 1000 },
  ])
})
