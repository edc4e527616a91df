import { describe, expect, it } from 'vitest'
import { createTurns } from '../../shim/import/turns.ts'

const never = () => new AbortController().signal

/** Takes a turn that lasts until `end` is called, and tells when it has begun. */
function hold(turns: ReturnType<typeof createTurns>, key: string, signal = never()) {
  const work = Promise.withResolvers<void>()
  let begun = false
  const done = turns.take(key, signal, () => {
    begun = true
    return work.promise
  })
  done.catch(() => {})
  return { done, begun: () => begun, end: work.resolve }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

describe('turns', () => {
  it('let only so many run at once, in order', async () => {
    const turns = createTurns(2)
    const [a, b, c] = [hold(turns, 'a'), hold(turns, 'b'), hold(turns, 'c')]
    await settled()
    expect([a.begun(), b.begun(), c.begun()]).toEqual([true, true, false])
    b.end()
    await settled()
    expect(c.begun()).toBe(true)
  })

  it('of one key come one after another, and others pass by', async () => {
    const turns = createTurns(2)
    const [first, second, other] = [hold(turns, 'a'), hold(turns, 'a'), hold(turns, 'b')]
    await settled()
    expect([first.begun(), second.begun(), other.begun()]).toEqual([true, false, true])
    first.end()
    await settled()
    expect(second.begun()).toBe(true)
  })

  it('are given up when the signal is aborted before they come', async () => {
    const turns = createTurns(1)
    const cancel = new AbortController()
    const [first, second, third] = [hold(turns, 'a'), hold(turns, 'b', cancel.signal), hold(turns, 'c')]
    cancel.abort()
    await expect(second.done).rejects.toMatchObject({ code: 'Cancelled' })
    first.end()
    await settled()
    expect([second.begun(), third.begun()]).toEqual([false, true])
  })

  it('are not taken at all with a signal that is aborted already', async () => {
    const { done, begun } = hold(createTurns(1), 'a', AbortSignal.abort())
    await expect(done).rejects.toMatchObject({ code: 'Cancelled' })
    expect(begun()).toBe(false)
  })

  it('go on after work that failed', async () => {
    const turns = createTurns(1)
    await expect(turns.take('a', never(), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    await expect(turns.take('a', never(), async () => 'fine')).resolves.toBe('fine')
  })
})
