import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { createReportedRun } from '../../../shim/cluster/builds/reported-run.ts'
import { createPodEventWriter, type PodEvent } from '../../../shim/cluster/pod-event-writer.ts'
import { IMAGE_ID } from './builds/runs.ts'

const recipe = {
  image: 'registry.example/team/app:1',
  flake: parseFlakeUrl('github:team/app'),
  packageName: 'image',
  system: 'x86_64-linux',
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function follow() {
  const written: PodEvent[] = []
  const now = Date.now
  const run = createReportedRun(recipe, { now, imageSize: async () => 12_300_000 })
  const request = { recipe, namespace: 'team' }
  const podWriter = createPodEventWriter({ request, node: 'node-1', now, record: event => written.push(event) })
  podWriter.follow(run)
  return { written, run, podWriter, reasons: () => written.map(({ reason }) => reason) }
}

describe('a pod', () => {
  it('gets an event when the build of its image starts, and when it ends', async () => {
    const { written, run, podWriter } = follow()
    run.progress({ phase: 'evaluating', runId: 'r' })
    await vi.advanceTimersByTimeAsync(5000)
    run.done({ imageId: IMAGE_ID, present: false })
    podWriter.done()
    await vi.advanceTimersByTimeAsync(0)
    expect(written).toEqual([
      {
        type: 'Normal',
        reason: 'NixBuildStarted',
        message: 'Building registry.example/team/app:1 from github:team/app#image on node-1',
      },
      {
        type: 'Normal',
        reason: 'NixBuildSucceeded',
        message: 'Built and loaded registry.example/team/app:1 in 5.0 s, 12.3 MB',
      },
    ])
  })

  it('gets events about the progress of a long build, less and less often', async () => {
    const { written, run } = follow()
    run.progress({ phase: 'building', done: 3, expected: 7, current: 'gcc' })
    await vi.advanceTimersByTimeAsync(31_000)
    expect(written.at(-1)).toMatchObject({ reason: 'NixBuildProgress', message: 'After 30.0 s: building 3 of 7, gcc' })
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(written.length).toBeGreaterThan(10)
    expect(written.length).toBeLessThan(20)
  })

  it('gets no event for an existing image', async () => {
    const { written, run, podWriter } = follow()
    run.done({ imageId: IMAGE_ID, present: true })
    podWriter.done()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(written).toEqual([])
  })

  it('gets an event that nothing has changed if it got one about the start', async () => {
    const { written, run, podWriter } = follow()
    await vi.advanceTimersByTimeAsync(1000)
    run.done({ imageId: IMAGE_ID, present: true })
    podWriter.done()
    await vi.advanceTimersByTimeAsync(0)
    expect(written.at(-1)).toMatchObject({
      reason: 'NixBuildSucceeded',
      message: expect.stringContaining('existed already'),
    })
  })

  it('gets an event with the reason when its build fails', async () => {
    const { reasons, run, podWriter } = follow()
    await vi.advanceTimersByTimeAsync(1000)
    const error = new FinalError('BuilderFailed', 'no')
    run.failed(error)
    podWriter.failed(error)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(reasons()).toEqual(['NixBuildStarted', 'NixBuildFailed'])
  })

  it('gets no more events after its request was cancelled', async () => {
    const { reasons, podWriter } = follow()
    await vi.advanceTimersByTimeAsync(1000)
    podWriter.failed(new RetryableError('Cancelled', 'left'))
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(reasons()).toEqual(['NixBuildStarted'])
  })

  it.each([
    ['the policy', new FinalError('PolicyRefused', 'no'), 'NixBuildRefused'],
    ['its system', new FinalError('SystemUnsupported', 'no'), 'NixBuildFailed'],
  ] as const)('gets an event when %s forbids the build', (_name, error, reason) => {
    const { written, podWriter } = follow()
    podWriter.refused(error)
    expect(written).toEqual([{ type: 'Warning', reason, message: 'no' }])
  })
})
