import { describe, expect, it } from 'vitest'
import type { PullProgress } from '../../../shim/pull/progress.ts'
import { createProgressHub } from '../../../shim/pull/progress.ts'

describe('a watcher', () => {
  it('gets the latest progress first, then everything of its own image', async () => {
    const hub = createProgressHub()
    hub.publish('a', { phase: 'evaluating', runId: 'a-run' })
    hub.publish('a', { phase: 'log', line: 'before' })
    const events = hub.watch('a', new AbortController().signal)
    hub.publish('b', { phase: 'present' })
    hub.publish('a', { phase: 'log', line: 'after' })
    expect(await take(events, 2)).toEqual([
      { phase: 'evaluating', runId: 'a-run' },
      { phase: 'log', line: 'after' },
    ])
  })

  it('ends when its signal aborts', async () => {
    const hub = createProgressHub()
    const caller = new AbortController()
    const next = hub.watch('a', caller.signal).next()
    caller.abort()
    expect((await next).done).toBe(true)
  })

  it('loses the oldest events if it does not read', async () => {
    const hub = createProgressHub()
    const events = hub.watch('a', new AbortController().signal)
    for (let line = 0; line < 5000; line += 1) hub.publish('a', { phase: 'log', line: String(line) })
    const read = await take(events, 1000)
    expect(read.at(-1)).toEqual({ phase: 'log', line: '4999' })
  })

  it('hears nothing of a run that has ended', async () => {
    const hub = createProgressHub()
    hub.publish('a', { phase: 'evaluating', runId: 'a-run' })
    hub.end('a')
    const events = hub.watch('a', new AbortController().signal)
    hub.publish('a', { phase: 'present' })
    expect(await take(events, 1)).toEqual([{ phase: 'present' }])
  })
})

async function take(events: AsyncGenerator<PullProgress>, count: number): Promise<PullProgress[]> {
  const taken: PullProgress[] = []
  for await (const event of events) if (taken.push(event) === count) break
  return taken
}
