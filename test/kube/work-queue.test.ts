import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createWorkQueue, type WorkQueue, type WorkQueueOptions } from '../../kube/work-queue.ts'
import { PATIENT } from '../patience.ts'

/** Each key is a group of its own. */
const PLAN = { work: async () => {}, workers: 2, groupOf: (key: string) => key, onError: () => {} }

function startQueue(plan: Partial<WorkQueueOptions>): WorkQueue & { readonly ended: Promise<void>; stop(): void } {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const queue = createWorkQueue({ ...PLAN, signal: stop.signal, ...plan })
  return Object.assign(queue, { ended: queue.run(), stop: () => stop.abort() })
}

const groupOf = (key: string) => key.slice(0, key.indexOf('/'))

/** Work that the test ends. */
function heldWork() {
  const begun: string[] = []
  const holds: PromiseWithResolvers<void>[] = []
  const work = (key: string): Promise<void> => {
    begun.push(key)
    const hold = Promise.withResolvers<void>()
    holds.push(hold)
    return hold.promise
  }
  return { begun, work, release: () => holds.shift()?.resolve() }
}

describe('a work queue', () => {
  it('gives a key one turn, regardless of how often it was added', async () => {
    const done: string[] = []
    const queue = startQueue({ work: async key => void done.push(key) })
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key)
    await vi.waitFor(() => expect(done).toEqual(['a', 'b']), PATIENT)
    queue.add('c')
    await vi.waitFor(() => expect(done).toEqual(['a', 'b', 'c']), PATIENT)
  })

  it('never works on one key twice at a time, but again afterwards', async () => {
    const { begun, work, release } = heldWork()
    const queue = startQueue({ work })
    queue.add('a')
    await vi.waitFor(() => expect(begun).toEqual(['a']), PATIENT)
    queue.add('a')
    queue.add('a')
    queue.add('b')
    await vi.waitFor(() => expect(begun).toEqual(['a', 'b']), PATIENT)
    release()
    await vi.waitFor(() => expect(begun).toEqual(['a', 'b', 'a']), PATIENT)
  })

  it('works on at most one key per worker, in the order of arrival', async () => {
    const { begun, work, release } = heldWork()
    const queue = startQueue({ work, workers: 2 })
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
    await vi.waitFor(() => expect(begun).toEqual(['a', 'b']), PATIENT)
    expect([queue.busy, queue.waiting]).toEqual([2, 2])
    release()
    await vi.waitFor(() => expect(begun).toEqual(['a', 'b', 'c']), PATIENT)
  })

  it('retries failures with growing pauses and reports each one', async () => {
    const times: number[] = []
    const errors: unknown[] = []
    const work = async () => {
      times.push(performance.now())
      if (times.length < 5) throw new Error(`failure ${times.length}`)
    }
    startQueue({ work, onError: (key, error) => void errors.push([key, String(error)]) }).add('a')
    await vi.waitFor(() => expect(times).toHaveLength(5), PATIENT)
    expect(errors).toEqual([1, 2, 3, 4].map(n => ['a', `Error: failure ${n}`]))
    const [, first = 0, , , last = 0] = times.map((time, n) => time - (times[n - 1] ?? time))
    expect(first).toBeGreaterThanOrEqual(45)
    expect(last).toBeGreaterThanOrEqual(395)
  })

  it('works on other keys while one waits for a retry', async () => {
    const done: string[] = []
    const work = async (key: string) => {
      if (key === 'bad') throw new Error('no')
      done.push(key)
    }
    const queue = startQueue({ work, workers: 1 })
    for (const key of ['bad', 'a', 'b']) queue.add(key)
    await vi.waitFor(() => expect(done).toEqual(['a', 'b']), PATIENT)
  })

  it('adds a key at the earlier of two times', async () => {
    const done: number[] = []
    const begin = Date.now()
    const queue = startQueue({ work: async () => void done.push(Date.now() - begin) })
    queue.addAt('a', begin + 60_000)
    queue.addAt('a', begin + 100)
    queue.addAt('a', begin + 30_000)
    await vi.waitFor(() => expect(done).toHaveLength(1), PATIENT)
    expect(done[0]).toBeGreaterThanOrEqual(99)
  })

  it('accepts a time beyond the limit of Node timers', async () => {
    const done: string[] = []
    const queue = startQueue({ work: async key => void done.push(key) })
    queue.addAt('far', Date.now() + 2 ** 40)
    queue.add('near')
    await vi.waitFor(() => expect(done).toEqual(['near']), PATIENT)
  })

  it('lets groups of keys take turns, regardless of their sizes', async () => {
    const done: string[] = []
    const queue = startQueue({ work: async key => void done.push(key), workers: 1, groupOf })
    for (const key of ['flood/1', 'flood/2', 'flood/3', 'team/1']) queue.add(key)
    await vi.waitFor(() => expect(done).toEqual(['flood/1', 'team/1', 'flood/2', 'flood/3']), PATIENT)
  })

  it('keeps workers free when the keys of one group take long', async () => {
    const { begun, work } = heldWork()
    const queue = startQueue({ work, workers: 8, groupOf })
    for (const key of ['slow/1', 'slow/2', 'slow/3', 'team/1']) queue.add(key)
    await vi.waitFor(() => expect(begun).toEqual(['slow/1', 'team/1', 'slow/2']), PATIENT)
    expect(queue.waiting).toBe(1)
  })

  it('starts nothing before it runs', async () => {
    const done: string[] = []
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const work = async (key: string) => void done.push(key)
    const queue = createWorkQueue({ ...PLAN, work, workers: 1, signal: stop.signal })
    queue.add('a')
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    expect(done).toEqual([])
    void queue.run()
    await vi.waitFor(() => expect(done).toEqual(['a']), PATIENT)
  })

  it('ends when running work is done, and starts nothing more', async () => {
    const { begun, work, release } = heldWork()
    const queue = startQueue({ work, workers: 1 })
    let ended = false
    void queue.ended.then(() => {
      ended = true
    })
    queue.add('a')
    queue.add('b')
    await vi.waitFor(() => expect(begun).toEqual(['a']), PATIENT)
    queue.stop()
    await new Promise(resolve => setImmediate(resolve))
    expect(ended).toBe(false)
    release()
    await queue.ended
    expect(begun).toEqual(['a'])
  })
})
