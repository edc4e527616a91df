import { pino } from 'pino'
import { expect, test } from 'vitest'
import { type Collector, createCollector } from '../../../../shim/nix/collect/collector.ts'

const MIB = 2 ** 20
const { signal } = new AbortController()

test('collects until there is enough space, as Nix may free less than requested', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 100 * MIB, garbage: 500 * MIB, freesAtMost: 80 * MIB })
  await store.collector.collectIfLow(signal, false)
  expect(store.asked).toEqual([150 * MIB, 70 * MIB])
  expect(store.ends).toEqual(['freed', 'freed'])
})

test('does not look again if Nix has deleted all garbage', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 100 * MIB, garbage: 90 * MIB, freesAtMost: 90 * MIB })
  await store.collector.collectIfLow(signal, false)
  expect(store.asked).toEqual([150 * MIB])
  expect(store.ends).toEqual(['freed'])
})

test('pauses after a collection that freed nothing, until there is new garbage', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 100 * MIB, garbage: 0, freesAtMost: MIB })
  await store.collector.collectIfLow(signal, false)
  await store.collector.collectIfLow(signal, false)
  expect(store.ends).toEqual(['nothing'])
  await store.collector.collectIfLow(signal, true)
  expect(store.ends).toEqual(['nothing', 'nothing'])
  expect(store.waited).toEqual([5_000])
  store.passTime(11 * 60_000)
  await store.collector.collectIfLow(signal, false)
  expect(store.ends).toHaveLength(3)
})

test('collects ever more rarely if images go from a disk that stays low, and each collection frees nearly nothing', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 100 * MIB, garbage: 0, freesAtMost: MIB })
  const removals = async (seconds: number) => {
    const before = store.ends.length
    for (let second = 0; second < seconds; second += 5) {
      store.passTime(5_000)
      await store.collector.collectIfLow(signal, true)
      await store.collector.collectIfLow(signal, false)
    }
    return store.ends.length - before
  }
  expect(await removals(3600)).toBeLessThan(16)
  expect(await removals(3600)).toBeLessThan(8)
})

test('does not wait between images of a large disk that stays low, as each is worth a collection', async () => {
  const store = fakeStore({ total: 4e6 * MIB, free: 400_000 * MIB, garbage: 0, freesAtMost: 4e6 * MIB })
  for (let removed = 0; removed < 5; removed += 1) {
    store.addGarbage(100 * MIB)
    await store.collector.collectIfLow(signal, true)
  }
  expect([store.ends, store.waited]).toEqual([Array(5).fill('freed'), []])
})

test('finds new garbage later if it came in a long pause, and forgets pauses when there is enough space', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 100 * MIB, garbage: 0, freesAtMost: 100 * MIB })
  const { collectIfLow } = store.collector
  for (let removed = 0; removed < 5; removed += 1) await collectIfLow(signal, true)
  expect([store.ends.length, store.waited]).toEqual([4, [5_000, 10_000, 20_000]])
  store.addGarbage(150 * MIB)
  store.passTime(40_000)
  await collectIfLow(signal, false)
  expect(store.ends.slice(4)).toEqual(['freed'])
  store.fill(100 * MIB)
  await collectIfLow(signal, true)
  expect(store.ends.slice(5)).toEqual(['nothing'])
  expect(store.waited).toHaveLength(3)
})

test('pauses after a collection that failed', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 0, garbage: 0, freesAtMost: 0, error: new Error('no daemon') })
  await store.collector.collectIfLow(signal, false)
  await store.collector.collectIfLow(signal, false)
  expect(store.ends).toEqual(['failed'])
})

test('runs one collection at a time, and one more for what became garbage meanwhile', async () => {
  const store = fakeStore({ total: 1000 * MIB, free: 0, garbage: 0, freesAtMost: 0 })
  const { collectIfLow } = store.collector
  await Promise.all([collectIfLow(signal, false), collectIfLow(signal, false), collectIfLow(signal, true)])
  await Promise.all([collectIfLow(signal, true), collectIfLow(signal, true), collectIfLow(signal, true)])
  expect(store.ends).toHaveLength(3)
  expect(store.mostAtOnce()).toBe(1)
})

test('leaves garbage to another collector, and a disk with enough space alone', async () => {
  const timed = fakeStore({ total: 1000 * MIB, free: 0, garbage: MIB, freesAtMost: MIB, other: 'min-free' })
  const spacious = fakeStore({ total: 1000 * MIB, free: 500 * MIB, garbage: MIB, freesAtMost: MIB })
  await timed.collector.collectIfLow(signal, true)
  await spacious.collector.collectIfLow(signal, true)
  expect([...timed.ends, ...spacious.ends]).toEqual([])
})

interface FakeDisk {
  readonly total: number
  readonly free: number
  readonly garbage: number
  readonly freesAtMost: number
  readonly other?: string
  readonly error?: Error
}

interface FakeStore {
  readonly collector: Collector
  /** Bytes that Nix was asked to free. */
  readonly asked: readonly number[]
  readonly ends: readonly string[]
  /** Milliseconds of each wait. */
  readonly waited: readonly number[]
  addGarbage(bytes: number): void
  /** Writes files that are no garbage. */
  fill(bytes: number): void
  mostAtOnce(): number
  passTime(ms: number): void
}

function fakeStore({ total, other, error, freesAtMost, ...disk }: FakeDisk): FakeStore {
  const asked: number[] = []
  const ends: string[] = []
  const waited: number[] = []
  let { free, garbage } = disk
  let [atOnce, most, now] = [0, 0, 1]
  const collector = createCollector({
    limits: { below: { share: 0.2 }, upTo: { share: 0.25 } },
    room: async () => ({ total, free }),
    otherCollector: async () => other,
    async collect(bytes) {
      asked.push(bytes)
      atOnce += 1
      most = Math.max(most, atOnce)
      await Promise.resolve()
      atOnce -= 1
      if (error) throw error
      const deleted = Math.min(bytes, garbage)
      garbage -= deleted
      free += Math.min(deleted, freesAtMost)
      return deleted
    },
    onEnd: end => void ends.push(end),
    logger: pino({ level: 'silent' }),
    now: () => now,
    async wait(ms) {
      waited.push(ms)
      now += ms
    },
  })
  return {
    ...{ collector, asked, ends, waited, mostAtOnce: () => most },
    addGarbage(bytes) {
      garbage += bytes
    },
    fill(bytes) {
      free -= bytes
    },
    passTime(ms) {
      now += ms
    },
  }
}
