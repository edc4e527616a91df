import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createPreparedBuilds } from '../../../controller/state/prepared-builds.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function begin(counts: Readonly<Record<string, number>>) {
  const keys = Object.entries(counts).flatMap(([namespace, count]) =>
    Array.from({ length: count }, (_, index) => `${namespace}/app-${index}`),
  )
  const stop = new AbortController()
  const due: string[] = []
  const prepared = createPreparedBuilds({
    builds: { preparing: () => keys },
    onBuild: key => void due.push(key.replace(/\/.*/, '')),
    signal: stop.signal,
  })
  /** How many were due for each namespace since the last call. */
  const counted = () => Object.fromEntries([...Map.groupBy(due.splice(0), each => each)].map(([a, b]) => [a, b.length]))
  return { prepared, counted, stop }
}

it('NixBuilds that select nodes are due once a second at most, and after the last change', () => {
  const { prepared, counted } = begin({ team: 2 })
  for (let change = 0; change < 100; change += 1) prepared.nodeChanged()
  expect(counted()).toEqual({ team: 2 })
  vi.advanceTimersByTime(1_000)
  expect(counted()).toEqual({ team: 2 })
  vi.advanceTimersByTime(60_000)
  expect(counted()).toEqual({})
})

it('many of one namespace are due more rarely, without keeping others from their turns', () => {
  const { prepared, counted } = begin({ team: 1, greedy: 200 })
  prepared.nodeChanged()
  expect(counted()).toEqual({ team: 1, greedy: 200 })
  for (let second = 0; second < 9; second += 1) {
    prepared.nodeChanged()
    vi.advanceTimersByTime(1_000)
  }
  expect(counted()).toEqual({ team: 9 })
  vi.advanceTimersByTime(1_000)
  expect(counted()).toEqual({ greedy: 200 })
  vi.advanceTimersByTime(60_000)
  expect(counted()).toEqual({})
})

it('none are due after the end', () => {
  const { prepared, counted, stop } = begin({ team: 1 })
  for (let change = 0; change < 2; change += 1) prepared.nodeChanged()
  stop.abort()
  prepared.nodeChanged()
  vi.advanceTimersByTime(60_000)
  expect(counted()).toEqual({ team: 1 })
})
