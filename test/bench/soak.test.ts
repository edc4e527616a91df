import { describe, expect, it } from 'vitest'
import { growthOf } from '../../bench/soak/growth.ts'
import { latePods } from '../../bench/soak/late.ts'
import { buildsBeyondRetention } from '../../bench/soak/retention.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'

describe('late pods', () => {
  const lateOf = (runningAt: number, ...builds: (readonly [startedAt: number, completedAt: number])[]) =>
    latePods(
      [{ pod: 'web', recipe: 'path:/a', createdAt: 100_000, runningAt }],
      builds.map(([startedAt, completedAt]) => ({ recipe: 'path:/a', startedAt, completedAt })),
      [],
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

  it.each([
    ['one in time', 130_000, { from: 101_000, to: 102_000 }, 0],
    ['one that is late even so', 131_000, { from: 101_000, to: 102_000 }, 1],
    ['one that was created after it', 116_000, { from: 99_000, to: 100_000 }, 1],
    ['one that ran before it', 116_000, { from: 116_000, to: 117_000 }, 1],
  ])('get the time of a retry for an outage of containerd: %s', (_, runningAt, outage, late) => {
    const wait = { pod: 'web', recipe: 'path:/a', createdAt: 100_000, runningAt }
    expect(latePods([wait], [], [outage])).toHaveLength(late)
  })

  it('do not get the time of a build of another recipe', () => {
    const wait = { pod: 'web', recipe: 'path:/a', createdAt: 0, runningAt: 20_000 }
    expect(latePods([wait], [{ recipe: 'path:/b', startedAt: 0, completedAt: 20_000 }], [])).toHaveLength(1)
  })
})

describe('growth', () => {
  it('compares the last quarter with the second one', () => {
    const samples = [9, 10, 1, 11].map((megabytes, quarter) => ({ at: quarter / 4, megabytes }))
    expect(growthOf(samples)).toBe(1.1)
  })

  it('is not a number without samples', () => {
    expect(growthOf([])).toBeNaN()
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
