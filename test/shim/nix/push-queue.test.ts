import { describe, expect, it, vi } from 'vitest'
import { createPushQueue } from '../../../shim/nix/push-queue.ts'

function startQueue(push: (storePath: string) => Promise<void>) {
  const logger = { info: vi.fn(), warn: vi.fn() }
  const stop = new AbortController()
  return { logger, stop, add: createPushQueue({ push, stopping: stop.signal, logger, longestPauseMs: 1 }) }
}

describe('the queue of pushes', () => {
  it('pushes one path after another, and each once', async () => {
    const pushed: string[] = []
    const { add, logger } = startQueue(async path => void pushed.push(path))
    await Promise.all(['a', 'b', 'c', 'b'].map(add))
    expect(pushed).toEqual(['a', 'b', 'c'])
    expect(logger.warn).not.toHaveBeenCalled()
  })

  it('pushes a path again that is built again while it is pushed', async () => {
    const gate = Promise.withResolvers<void>()
    let tries = 0
    const { add } = startQueue(async () => {
      tries += 1
      await gate.promise
      if (tries === 1) throw new Error('away')
    })
    const ends = [add('a'), add('a')]
    gate.resolve()
    await Promise.all(ends)
    expect(tries).toBe(2)
  })

  it('tries again after an outage, and logs its start and its end once', async () => {
    const pushed: string[] = []
    let failures = 5
    const { add, logger } = startQueue(async path => {
      failures -= 1
      if (failures >= 0) throw new Error('away')
      pushed.push(path)
    })
    await Promise.all(['a', 'b'].map(add))
    expect(pushed.toSorted()).toEqual(['a', 'b'])
    expect(logger.warn).toHaveBeenCalledExactlyOnceWith({ reason: 'away' }, expect.stringContaining('trying again'))
    expect(logger.info).toHaveBeenCalledTimes(1)
  })

  it('gives up a path that always fails, and pushes the others', async () => {
    const pushed: string[] = []
    let tries = 0
    const { add, logger } = startQueue(async path => {
      if (path !== 'bad') return void pushed.push(path)
      tries += 1
      throw new Error('refused')
    })
    await Promise.all(['bad', 'good'].map(add))
    expect(logger.warn).toHaveBeenCalledWith({ storePath: 'bad' }, expect.stringContaining('failed too often'))
    expect(pushed).toEqual(['good'])
    expect(tries).toBe(24)
  })

  it('drops the oldest paths if too many wait', async () => {
    const gate = Promise.withResolvers<void>()
    const pushed: string[] = []
    const { add, logger } = startQueue(async path => {
      await gate.promise
      pushed.push(path)
    })
    const ends = Array.from({ length: 1006 }, (_, index) => add(`${index}`))
    // These wait no longer, although nothing has been pushed yet.
    await Promise.all(ends.slice(1, 6))
    expect(pushed).toEqual([])
    gate.resolve()
    await Promise.all(ends)
    expect(pushed).toHaveLength(1001)
    expect(pushed.slice(0, 2)).toEqual(['0', '6'])
    expect(logger.warn).toHaveBeenCalledTimes(5)
  })

  it('ends at a shutdown', async () => {
    const pushed: string[] = []
    const { add, stop } = startQueue(async path => {
      pushed.push(path)
      stop.abort()
      throw new Error('cancelled')
    })
    await Promise.all(['a', 'b'].map(add))
    await add('c')
    expect(pushed).toEqual(['a'])
  })
})
