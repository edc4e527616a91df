import { pino } from 'pino'
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import type { Kube } from '../../../../kube/client/contract.ts'
import type { NixNodeStatus } from '../../../../kube/resources/nixnode.ts'
import { FinalError, RetryableError } from '../../../../lib/errors.ts'
import { createNodeBuilds } from '../../../../shim/cluster/builds/node-builds.ts'
import { createClusterReporter } from '../../../../shim/cluster/cluster-reporter.ts'
import { createNixNodeWriter } from '../../../../shim/cluster/nixnode/nixnode-writer.ts'
import { NODE, recipe, requestOf } from '../builds/runs.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('the first write says that a restarted shim works on nothing', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(0)
  expect(bed.written).toEqual([{ shimVersion: '1', store: null, builds: [] }])
})

it('nothing is written while nothing changes', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(bed.written).toHaveLength(1)
})

it('any number of changes are one write a second', async () => {
  const bed = begin()
  for (let tag = 0; tag < 100; tag += 1) {
    bed.reporter.refused(requestOf('web', { tag }), new FinalError('PolicyRefused', 'no rule'))
    await vi.advanceTimersByTimeAsync(30)
  }
  await vi.advanceTimersByTimeAsync(2000)
  expect(bed.written.length).toBeLessThanOrEqual(5)
  expect(bed.written.at(-1)?.builds).toHaveLength(100)
})

it('a crowd of changes is looked through once', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(2000)
  const looks = vi.spyOn(bed.builds, 'dueAt')
  const runs = Array.from({ length: 200 }, (_, tag) => {
    bed.reporter.waiting(requestOf('web', { tag }))
    return bed.reporter.started(recipe(tag))
  })
  for (const [ahead, run] of runs.entries()) run.progress({ phase: 'queued', ahead })
  await vi.advanceTimersByTimeAsync(200)
  expect(looks.mock.calls.length).toBeLessThan(5)
  await vi.advanceTimersByTimeAsync(2000)
  expect(bed.written.at(-1)?.builds).toHaveLength(200)
})

it('progress of many builds is written once a second at most, and less often with time', async () => {
  const bed = begin()
  const runs = [0, 1, 2, 3].map(tag => {
    bed.reporter.waiting(requestOf('web', { tag }))
    return bed.reporter.started(recipe(tag))
  })
  for (let done = 0; done < 600; done += 1) {
    for (const run of runs) run.progress({ phase: 'building', done, expected: 600 })
    await vi.advanceTimersByTimeAsync(1000)
  }
  expect(bed.written.length).toBeLessThan(30)
})

it('a new generation is written with the next build, or after its time if it has one', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(5000)
  bed.writer.observed(2)
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(bed.written).toHaveLength(1)
  bed.reporter.refused(requestOf('web'), new FinalError('PolicyRefused', 'no rule'))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(bed.written.map(({ observedGeneration }) => observedGeneration)).toEqual([undefined, 2])
  bed.writer.observed(3, 60_000)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(bed.written.at(-1)?.observedGeneration).toBe(3)
})

it('writes that fail are repeated with growing pauses, until one has everything', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(2000)
  bed.fail(new RetryableError('ClusterAway', 'away'))
  bed.reporter.refused(requestOf('web'), new FinalError('PolicyRefused', 'no rule'))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(bed.failures()).toBeGreaterThan(5)
  expect(bed.failures()).toBeLessThan(25)
  bed.fail(undefined)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(bed.written.at(-1)?.builds).toMatchObject([{ state: 'Failed' }])
})

it('the last state is written before the writer closes, even right after another write', async () => {
  const bed = begin()
  await vi.advanceTimersByTimeAsync(0)
  bed.reporter.refused(requestOf('web'), new FinalError('PolicyRefused', 'no rule'))
  await bed.writer.close(1000)
  expect(bed.written.at(-1)?.builds).toHaveLength(1)
  bed.reporter.refused(requestOf('web', { tag: 2 }), new FinalError('PolicyRefused', 'no rule'))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(bed.written).toHaveLength(2)
})

function begin() {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const written: NixNodeStatus[] = []
  let error: Error | undefined
  let failures = 0
  const kube: Pick<Kube, 'create' | 'patch'> = {
    create: () => Promise.reject(new Error('it exists')),
    async patch(kind, { name, body }) {
      if (error) {
        failures += 1
        throw error
      }
      if ('status' in body && typeof body.status === 'object') written.push(JSON.parse(JSON.stringify(body.status)))
      return kind.parse({ metadata: { name, uid: '1', resourceVersion: '1', creationTimestamp: '' } })
    },
  }
  const builds = createNodeBuilds({ node: NODE, now: Date.now, onPresent: () => {} })
  const reporter = createClusterReporter({
    ...{ builds, node: NODE, imageSize: async () => undefined },
    ...{ recordEvent: () => {}, imagesChanged: () => {} },
  })
  const facts = { shimVersion: '1' }
  const writer = createNixNodeWriter({
    ...{ kube, node: NODE, facts, builds, signal: stop.signal, logger: pino({ level: 'silent' }) },
  })
  return {
    ...{ builds, reporter, writer, written },
    failures: () => failures,
    fail(next: Error | undefined) {
      error = next
    },
  }
}
