import { expect, it, onTestFinished, vi } from 'vitest'
import type { WaitedFor } from '../../../shim/cluster/status-writers.ts'
import { cancelUnwantedBuilds } from '../../../shim/cluster/unwanted-builds.ts'

function start(...waited: readonly Partial<WaitedFor>[]) {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const waitedFor = () =>
    waited.map((one, index) => ({ key: `key-${index}`, seenAt: 0, isGone: async () => true, leave() {}, ...one }))
  void cancelUnwantedBuilds({ waitedFor, intervalMs: 5, signal: stop.signal })
}

it('requests for a deleted NixBuild are cancelled at the second check', async () => {
  const isGone = vi.fn(async () => true)
  const looks = vi.fn()
  start({ isGone, leave: () => looks(isGone.mock.calls.length) })
  await vi.waitFor(() => expect(looks).toHaveBeenCalled())
  expect(looks.mock.calls[0]).toEqual([2])
})

it('a namespace whose checks never end does not delay the checks of others', async () => {
  const leave = vi.fn()
  start({ isGone: () => new Promise(() => {}) }, { leave })
  await vi.waitFor(() => expect(leave).toHaveBeenCalled())
})

it('a check that fails cancels nothing', async () => {
  const answers = [true, new Error('away'), true, true]
  const looks = vi.fn()
  const isGone = vi.fn(async () => {
    const answer = answers[isGone.mock.calls.length - 1] ?? true
    if (answer instanceof Error) throw answer
    return answer
  })
  start({ isGone, leave: () => looks(isGone.mock.calls.length) })
  await vi.waitFor(() => expect(looks).toHaveBeenCalled())
  expect(looks.mock.calls[0]).toEqual([4])
})
