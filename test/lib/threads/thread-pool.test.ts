import { describe, expect, it, onTestFinished } from 'vitest'
import { createThreadPool, type ThreadPool } from '../../../lib/threads/thread-pool.ts'
import type { TestTask } from './pool-thread.ts'

type TestPool = ThreadPool<TestTask, number, string, number>

function createPool(count = 1): TestPool {
  let started = 0
  const pool: TestPool = createThreadPool({
    program: new URL('./pool-thread.ts', import.meta.url),
    name: 'test',
    count,
    makeData() {
      started += 1
      return started
    },
    toError: reason => new Error(`ended: ${reason}`),
  })
  onTestFinished(() => pool.close())
  return pool
}

/** Resolves once its first part has arrived. */
async function startWaiting(pool: TestPool): Promise<{ end: Promise<number> }> {
  const begun = Promise.withResolvers<void>()
  const end = pool.run('wait', () => begun.resolve())
  await Promise.race([begun.promise, end])
  return { end }
}

describe('a thread pool', () => {
  it('passes on parts as they arrive, with the data of the thread, and then the answer', async () => {
    const parts: unknown[] = []
    expect(await createPool().run('count', (part, data) => parts.push([part, data]))).toBe(1)
    expect(parts).toEqual([
      ['one', 1],
      ['two', 1],
    ])
  })

  it('starts a limited number of threads and queues further tasks', async () => {
    const pool = createPool(2)
    const answers = await Promise.all(Array.from({ length: 20 }, () => pool.run('count')))
    expect(Math.max(...answers)).toBeLessThanOrEqual(2)
  })

  it('rejects with the error of the task and continues with the next one', async () => {
    const pool = createPool()
    await expect(pool.run('fail')).rejects.toMatchObject({ code: 'ArchiveInvalid', message: 'damaged' })
    await expect(pool.run('throw')).rejects.toMatchObject({ code: 'Internal' })
    expect(await pool.run('count')).toBe(1)
  })

  it('rejects the task of a thread that ends, and starts another thread for waiting tasks', async () => {
    const pool = createPool()
    const [ended, next] = await Promise.allSettled([pool.run('end'), pool.run('count')])
    expect(ended).toMatchObject({ reason: new Error('ended: it was stopped') })
    expect(next).toMatchObject({ value: 2 })
  })

  it('rejects waiting tasks when cancelled, and informs the running one', async () => {
    const pool = createPool()
    const { end } = await startWaiting(pool)
    const waiting = pool.run('count')
    pool.cancel(new Error('not wanted'))
    await expect(waiting).rejects.toThrow('not wanted')
    await expect(pool.run('count')).rejects.toThrow('not wanted')
    expect(await end).toBe(1)
  })

  it('ends running tasks when it is closed', async () => {
    const pool = createPool()
    const { end } = await startWaiting(pool)
    const ended = expect(end).rejects.toThrow('ended: it was stopped')
    await pool.close()
    await ended
    await expect(pool.run('count')).rejects.toThrow('ended')
  })
})
