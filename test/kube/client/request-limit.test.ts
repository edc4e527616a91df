import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Kube } from '../../../kube/client/contract.ts'
import { limitRequests } from '../../../kube/client/request-limit.ts'
import { configMaps } from '../config-maps.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const NAME = { namespace: 'team', name: 'web' }

/** An API server that answers immediately, and the names that it was asked for. */
function countingKube() {
  const asked: string[] = []
  const note = (name: string) => async () => void asked.push(name)
  const kube: Kube = {
    get: async (_, { name }) => void asked.push(name),
    async list() {
      asked.push('list')
      return '1'
    },
    create: (_, { name }) => Promise.reject(new Error(`create ${asked.push(name)}`)),
    patch: async (_, { name }) => void asked.push(name),
    replace: (_, { name }) => Promise.reject(new Error(`replace ${asked.push(name)}`)),
    delete: note('delete'),
    async *watch() {
      asked.push('watch')
      yield { type: 'BOOKMARK', resourceVersion: '1', endsInitial: true }
    },
    close: async () => {},
  }
  return { kube, asked }
}

describe('a limited client', () => {
  it('sends a burst immediately, and further requests at the rate and in order', async () => {
    const { kube, asked } = countingKube()
    const limited = limitRequests(kube, { qps: 10, burst: 3 })
    const all = ['a', 'b', 'c', 'd', 'e'].map(name => limited.get(configMaps, { ...NAME, name }))
    await vi.advanceTimersByTimeAsync(0)
    expect(asked).toEqual(['a', 'b', 'c'])
    await vi.advanceTimersByTimeAsync(100)
    expect(asked).toEqual(['a', 'b', 'c', 'd'])
    await vi.advanceTimersByTimeAsync(100)
    await Promise.all(all)
    expect(asked).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('counts every kind of request, but no watch', async () => {
    const { kube, asked } = countingKube()
    const limited = limitRequests(kube, { qps: 1, burst: 6 })
    const body = { data: {} }
    await Promise.allSettled([
      limited.get(configMaps, NAME),
      limited.list(configMaps, {}, () => {}),
      limited.create(configMaps, { ...NAME, body }),
      limited.patch(configMaps, { ...NAME, body }, { type: 'merge', fieldManager: 'test' }),
      limited.replace(configMaps, { ...NAME, body }),
      limited.delete(configMaps, NAME),
    ])
    expect(asked).toHaveLength(6)
    const late = limited.get(configMaps, NAME)
    await limited.watch(configMaps, { signal: AbortSignal.abort() }).next()
    expect(asked.slice(6)).toEqual(['watch'])
    await vi.advanceTimersByTimeAsync(1_000)
    await late
    expect(asked).toHaveLength(8)
  })

  it('sends no request whose caller has gone while it waited', async () => {
    const { kube, asked } = countingKube()
    const limited = limitRequests(kube, { qps: 1, burst: 1 })
    await limited.get(configMaps, NAME)
    const caller = new AbortController()
    const gone = expect(limited.get(configMaps, NAME, { signal: caller.signal })).rejects.toMatchObject({
      code: 'Cancelled',
    })
    caller.abort()
    await gone
    await vi.advanceTimersByTimeAsync(5_000)
    expect(asked).toHaveLength(1)
  })
})
