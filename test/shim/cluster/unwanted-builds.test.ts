import { expect, it, onTestFinished, vi } from 'vitest'
import type { WaitedFor } from '../../../shim/cluster/status-writers.ts'
import { cancelUnwantedBuilds } from '../../../shim/cluster/unwanted-builds.ts'

function start(...waited: readonly Partial<WaitedFor>[]) {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const waitedFor = () =>
    waited.map((one, index) => ({ key: `key-${index}`, seenAt: 0, isGone: async () => true, cancel() {}, ...one }))
  void cancelUnwantedBuilds({ waitedFor, intervalMs: 5, signal: stop.signal })
}

it('requests for a deleted NixBuild are cancelled at the second check', async () => {
  const isGone = vi.fn(async () => true)
  const cancelled = vi.fn()
  start({ isGone, cancel: () => cancelled(isGone.mock.calls.length) })
  await vi.waitFor(() => expect(cancelled).toHaveBeenCalled())
  expect(cancelled.mock.calls[0]).toEqual([2])
})

it('a namespace whose checks never end does not delay the checks of others', async () => {
  const cancel = vi.fn()
  start({ isGone: () => new Promise(() => {}) }, { cancel })
  await vi.waitFor(() => expect(cancel).toHaveBeenCalled())
})

it('a check that fails cancels nothing', async () => {
  const answers = [true, new Error('away'), true, true]
  const cancelled = vi.fn()
  const isGone = vi.fn(async () => {
    const answer = answers[isGone.mock.calls.length - 1] ?? true
    if (answer instanceof Error) throw answer
    return answer
  })
  start({ isGone, cancel: () => cancelled(isGone.mock.calls.length) })
  await vi.waitFor(() => expect(cancelled).toHaveBeenCalled())
  expect(cancelled.mock.calls[0]).toEqual([4])
})
