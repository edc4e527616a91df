import { describe, expect, it, test } from 'vitest'
import { failedPulls, retriedPods } from '../../bench/soak/failures.ts'
import { growthOf } from '../../bench/soak/growth.ts'
import { latePods, wrongImages } from '../../bench/soak/late.ts'
import { buildsBeyondRetention } from '../../bench/soak/retention.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'

const WAIT = { pod: 'web', recipe: 'path:/a', imageId: 'sha256:a', createdAt: 100_000, runningAt: 120_000 }

describe('late pods', () => {
  const lateOf = (runningAt: number, ...builds: (readonly [startedAt: number, completedAt: number])[]) =>
    latePods(
      [{ ...WAIT, runningAt }],
      builds.map(([startedAt, completedAt]) => ({
        recipe: 'path:/a',
        imageDigest: 'sha256:a',
        startedAt,
        completedAt,
      })),
    )

  it.each([
    ['in time without a build', 115_000, []],
    ['in time after its build', 145_000, [[100_000, 130_000]]],
    [
      'in time after the longest of several builds',
      145_000,
      [
        [100_000, 105_000],
        [110_000, 140_000],
      ],
    ],
  ] as const)('are not those that run %s', (_, runningAt, builds) => {
    expect(lateOf(runningAt, ...builds)).toEqual([])
  })

  it.each([
    ['without a build', 116_000, [], 16, 0],
    ['after a build that ended before', 116_000, [[60_000, 90_000]], 16, 0],
    ['after a build that began before', 136_000, [[60_000, 120_000]], 36, 20],
  ] as const)('are those that run too late %s', (_, runningAt, builds, waited, build) => {
    expect(lateOf(runningAt, ...builds)).toMatchObject([
      { wait: { pod: 'web' }, waitedMs: waited * 1000, buildMs: build * 1000 },
    ])
  })

  it('get the time of a retry after a failed call to containerd', () => {
    const late = (runningAt: number) => latePods([{ ...WAIT, runningAt }], [], new Set(['web']))
    expect([late(130_000), late(131_000)]).toMatchObject([[], [{ waitedMs: 31_000 }]])
  })

  it('do not get the time of a build of another recipe', () => {
    const build = { recipe: 'path:/b', imageDigest: 'sha256:b', startedAt: 100_000, completedAt: 120_000 }
    expect(latePods([WAIT], [build])).toHaveLength(1)
  })
})

test('a wrong image is one that no build of the recipe has made', () => {
  const build = (recipe: string, imageDigest: string) => ({ recipe, imageDigest, startedAt: 0, completedAt: 1 })
  const builds = [build('path:/a', 'sha256:old'), build('path:/a', 'sha256:a'), build('path:/b', 'sha256:b')]
  const wrong = ['sha256:a', 'sha256:b', '', 'sha256:old'].map(imageId => wrongImages([{ ...WAIT, imageId }], builds))
  expect(wrong.map(({ length }) => length)).toEqual([0, 1, 1, 0])
  expect(wrongImages([WAIT], [build('path:/a', '')])).toHaveLength(1)
})

describe('failures', () => {
  const at = (message: string, from: number, to = from) => ({ pod: 'web', message, from, to })
  const PULL = 'Failed to pull image "a:1": rpc error'
  const CREATE = 'Error: failed to create containerd task'
  const restartOf = (daemon: 'shim' | 'containerd') => [{ daemon, from: 10_500, to: 11_500 }]

  it.each([
    ['counts', at(PULL, 9_000), 1],
    ['counts if it was repeated after that', at(PULL, 11_000, 20_000), 1],
    ['does not count if a restart of the shim ended it', at(PULL, 11_000, 12_000), 0],
    ['does not count if its pod was deleted before', { ...at(PULL, 9_000), pod: 'deleted' }, 0],
    ['does not count if another call failed', at(CREATE, 9_000), 0],
  ])('a failed pull %s', (_, failure, count) => {
    expect(failedPulls([failure], [WAIT], restartOf('shim'))).toHaveLength(count)
  })

  it.each([
    ['gets the time of a retry if containerd was away', at(CREATE, 10_000), 1],
    ['gets no time for a failed pull', at(PULL, 11_000), 0],
    ['gets no time for a failure before', at(CREATE, 9_000), 0],
    ['gets no time for a failure after that', at(CREATE, 12_000), 0],
  ])('a pod %s', (_, failure, count) => {
    expect([...retriedPods([failure], restartOf('containerd'))]).toHaveLength(count)
  })
})

describe('growth', () => {
  it('compares the last quarter with the second one', () => {
    const samples = [9, 10, 1, 11].map((megabytes, quarter) => ({ at: quarter / 4, megabytes, pid: 1 }))
    expect(growthOf(samples)).toBe(1.1)
  })

  it('is not computed from several processes, or from none', () => {
    const samples = [1, 2].map(pid => ({ at: 0.5, megabytes: 1, pid }))
    expect(() => growthOf(samples)).toThrow('2 processes')
    expect(() => growthOf([])).toThrow('0 processes')
  })
})

describe('NixBuilds beyond retention', () => {
  it('are those that have not ended, and those of one creator and namespace that are too many', () => {
    const build = (name: string, namespace: string, status: string) =>
      nixBuilds.parse({
        metadata: { name, namespace, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
        spec: { flakeUrl: 'path:/a', imageTag: 'a:1', system: 'x86_64-linux' },
        status: { status },
      })
    const builds = [
      build('one', 'a', 'Succeeded'),
      build('two', 'a', 'Failed'),
      build('three', 'a', 'Succeeded'),
      build('four', 'b', 'Succeeded'),
      build('five', 'b', 'Building'),
    ]
    expect(buildsBeyondRetention(builds, 2)).toEqual(['a/three (Succeeded)', 'b/five (Building)'])
  })
})
