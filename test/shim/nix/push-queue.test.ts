import { describe, expect, it, vi } from 'vitest'
import { createPushQueue } from '../../../shim/nix/push-queue.ts'
import { PATIENT } from '../../patience.ts'

function startQueue(push: (storePath: string) => Promise<void>) {
  const logger = { info: vi.fn(), warn: vi.fn() }
  const stop = new AbortController()
  return { logger, stop, add: createPushQueue({ push, stopping: stop.signal, logger, longestPauseMs: 1 }) }
}

describe('the queue of pushes', () => {
  it('pushes one path after another, and each once', async () => {
    const pushed: string[] = []
    const { add, logger } = startQueue(async path => void pushed.push(path))
    for (const path of ['a', 'b', 'c', 'b']) add(path)
    await expect.poll(() => pushed, PATIENT).toEqual(['a', 'b', 'c'])
    expect(logger.warn).not.toHaveBeenCalled()
  })

  it('tries again after an outage, and logs its start and its end once', async () => {
    const pushed: string[] = []
    let failures = 5
    const { add, logger } = startQueue(async path => {
      failures -= 1
      if (failures >= 0) throw new Error('away')
      pushed.push(path)
    })
    for (const path of ['a', 'b']) add(path)
    await expect.poll(() => [...pushed].sort(), PATIENT).toEqual(['a', 'b'])
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
    for (const path of ['bad', 'good']) add(path)
    const givenUp = () => logger.warn.mock.calls.filter(([, text]) => text.includes('failed too often'))
    await expect.poll(givenUp, PATIENT).toEqual([[{ storePath: 'bad' }, expect.anything()]])
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
    for (let index = 0; index <= 1005; index += 1) add(`${index}`)
    gate.resolve()
    await expect.poll(() => pushed, PATIENT).toHaveLength(1001)
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
    for (const path of ['a', 'b']) add(path)
    await expect.poll(() => pushed, PATIENT).toEqual(['a'])
    add('c')
    expect(pushed).toEqual(['a'])
  })
})
