import { describe, expect, it } from 'vitest'
import { aggregate, type NodeReports } from '../../../controller/plan/aggregate.ts'
import { reportPatch } from '../../../controller/plan/nixbuild-report.ts'
import { someBuild, someEntry } from '../views.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')
const at = (minute: number) => `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`

type Entry = Parameters<typeof someEntry>[1]

function join(entries: Readonly<Record<string, Entry>>, status: object = {}, more: Partial<NodeReports> = {}) {
  const map = new Map(Object.entries(entries).map(([node, entry]) => [node, someEntry(node, entry)]))
  const build = someBuild({ status })
  const news = aggregate({
    build,
    bornAt: build.createdAt,
    entries: map,
    isTrusted: () => true,
    waitingSince: () => Number.POSITIVE_INFINITY,
    counts: () => true,
    isHeard: () => true,
    isFetchOnly: () => false,
    selected: undefined,
    ...more,
  })
  return { news, patch: reportPatch(build, news, NOW) }
}

const PRESENT = { state: 'Present', imageDigest: 'sha256:1' } as const
const complete = (reason: string) => ({ type: 'Complete', status: 'False', reason, message: 'x' })

describe('the status of a NixBuild', () => {
  it.each([
    ['of nodes that say nothing', {}, undefined, undefined],
    ['if one waits', { a: { state: 'Queued' } }, 'Pending', undefined],
    ['if one builds', { a: { state: 'Queued' }, b: { state: 'Building' } }, 'Building', 'b'],
    ['if one imports', { a: { state: 'Importing' } }, 'Importing', 'a'],
    ['if one builds and another one imports', { a: { state: 'Importing' }, b: { state: 'Building' } }, 'Building', 'b'],
    [
      'if several build: the first one',
      { a: { state: 'Building', since: at(2) }, b: { state: 'Building', since: at(1) } },
      'Building',
      'b',
    ],
    ['if one has it and others build', { a: { state: 'Building' }, b: PRESENT }, 'Succeeded', 'b'],
    ['if one failed and another one builds', { a: { state: 'Failed' }, b: { state: 'Building' } }, 'Building', 'b'],
    ['if one failed and another one has it', { a: { state: 'Failed' }, b: PRESENT }, 'Succeeded', 'b'],
    ['if all failed', { a: { state: 'Failed', since: at(2) }, b: { state: 'Failed', since: at(1) } }, 'Failed', 'b'],
  ] as const)('%s', (_name, entries, status, buildNode) => {
    const { patch = {} } = join(entries)
    expect([patch.status, patch.buildNode]).toEqual([status, buildNode])
  })

  it('leaves its node if that waits while another one builds', () => {
    const entries = { a: { state: 'Queued', progress: 'waiting for b' }, b: { state: 'Building' } } as const
    const { patch } = join(entries, { status: 'Building', buildNode: 'a' })
    expect(patch).toMatchObject({ buildNode: 'b' })
  })

  it('stays with its node while that does what the status says', () => {
    const building = { status: 'Building', buildNode: 'b' }
    const entries = { a: { state: 'Building', since: at(1) }, b: { state: 'Building', since: at(2) } } as const
    expect(join(entries, building).patch?.buildNode).toBeUndefined()
    expect(join({ a: entries.a }, building).patch).toMatchObject({ buildNode: 'a' })
  })

  it('ignores nodes that are lost', () => {
    const entries = { a: { state: 'Building' }, b: { state: 'Importing' } } as const
    expect(join(entries, {}, { counts: node => node === 'b' }).patch).toMatchObject({
      buildNode: 'b',
      building: { count: 1, nodes: ['b'] },
    })
  })

  it('is not decided by a node that none of its pods asks for it, and that it was not given to', () => {
    const isTrusted = (node: string) => node === 'a'
    const forged = { b: PRESENT, c: { state: 'Failed', message: 'forged' }, d: { state: 'Building' } } as const
    expect(join(forged, {}, { isTrusted }).patch).toEqual({ ready: { count: 1, nodes: ['b'] } })
    expect(join({ ...forged, a: { state: 'Building' } }, {}, { isTrusted }).patch).toMatchObject({
      status: 'Building',
      buildNode: 'a',
      building: { count: 1, nodes: ['a'] },
      conditions: [{}, { message: 'Building on a' }],
    })
  })

  it('becomes Pending if its node has stopped and says nothing more', () => {
    const building = { status: 'Building', buildNode: 'a', progress: 'x' }
    expect(join({}, building).patch).toMatchObject({
      status: 'Pending',
      buildNode: null,
      progress: null,
      conditions: [{ reason: 'Interrupted' }, { reason: 'Interrupted', message: 'the build on a was interrupted' }],
    })
    expect(join({}, building, { isHeard: () => false }).patch).toBeUndefined()
    expect(join({}, { status: 'Pending', conditions: [complete('Queued')] }).patch).toMatchObject({
      conditions: [{}, {}],
    })
    expect(join({}, { status: 'Pending', conditions: [complete('NoNode')] }).patch).toBeUndefined()
  })

  it('has the progress of a node that lets it wait', () => {
    expect(join({ a: { state: 'Queued', progress: 'waiting for 2 builds' } }).patch).toMatchObject({
      status: 'Pending',
      progress: 'waiting for 2 builds',
      conditions: [{ reason: 'Queued' }, { reason: 'Queued', message: 'queued on a' }],
    })
  })

  it('says why it is retried', () => {
    expect(join({ a: { state: 'Queued', message: 'no network' } }).patch).toMatchObject({
      status: 'Pending',
      buildNode: 'a',
      progress: 'waiting for another attempt',
      conditions: [{ reason: 'Retrying' }, { reason: 'Retrying', message: 'no network' }],
    })
  })

  it('has the progress of its node and the flake that it builds', () => {
    const entry = {
      state: 'Building',
      progress: '1 of 7',
      lockedFlakeUrl: 'github:x/y/1',
      buildJobName: 'run',
    } as const
    expect(join({ a: entry }).patch).toMatchObject({
      progress: '1 of 7',
      lockedFlakeUrl: 'github:x/y/1',
      buildJobName: 'run',
      conditions: [{ reason: 'Building' }, { message: 'Building on a' }],
    })
  })
})

describe('a NixBuild that has succeeded', () => {
  const succeeded = { status: 'Succeeded', buildNode: 'a', imageDigest: 'sha256:1', progress: 'loaded in 3 s' }
  const conditions = (message: string) => [
    { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Image loaded' },
    { type: 'Success', status: 'True', reason: 'ResultSuccess', message },
  ]
  const done = { ...succeeded, conditions: conditions('Image loaded as sha256:1') }

  it('stays as it is when other nodes get the image, except for their number', () => {
    expect(join({ a: PRESENT }, { ...done, ready: { count: 1, nodes: ['a'] } }).patch).toBeUndefined()
    expect(join({ b: PRESENT, a: PRESENT }, done).patch).toEqual({ ready: { count: 2, nodes: ['a', 'b'] } })
  })

  it('names the first failure of other nodes', () => {
    const entries = {
      a: PRESENT,
      b: { state: 'Failed', since: at(2), message: 'later' },
      c: { state: 'Failed', since: at(1), message: 'no space' },
    } as const
    expect(join(entries, done).patch).toEqual({
      ready: { count: 1, nodes: ['a'] },
      failed: { count: 2, nodes: ['b', 'c'] },
      conditions: [{}, { message: 'Image loaded as sha256:1; failed on c and 1 more: no space' }].map(each =>
        expect.objectContaining(each),
      ),
    })
  })

  it('stays so when its nodes do not list the image any more', () => {
    expect(join({}, done).patch).toBeUndefined()
    expect(join({ b: { state: 'Failed' } }, done).patch).not.toHaveProperty('status')
  })

  it('is built again if no node has the image and one builds it', () => {
    expect(join({ b: { state: 'Building' } }, done).patch).toMatchObject({ status: 'Building', buildNode: 'b' })
  })

  it('has the new image if its node has built another one', () => {
    expect(join({ a: { ...PRESENT, imageDigest: 'sha256:2' } }, done).patch).toMatchObject({
      imageDigest: 'sha256:2',
      conditions: [{}, { message: 'Image loaded as sha256:2' }],
    })
  })

  it.each([
    ['how long it took', { startTime: at(1), since: at(2), imageSize: 5_000_000 }, 'loaded in 60.0 s, 5.0 MB'],
    ['that the image was there', {}, 'existed already'],
    ['what the node says', { progress: 'as it was' }, 'as it was'],
  ])('says %s', (_name, entry, progress) => {
    expect(join({ a: { ...PRESENT, ...entry } }).patch).toMatchObject({ progress })
  })
})

describe('a NixBuild that selects nodes', () => {
  it('is complete when all of them have the image', () => {
    const selected = ['a', 'b', 'c']
    const entries = { a: PRESENT, b: { state: 'Building' }, d: PRESENT } as const
    expect(join(entries, {}, { selected }).patch).toMatchObject({
      status: 'Succeeded',
      ready: { count: 2 },
      selected: { count: 3, nodes: selected },
      missing: { count: 2, nodes: ['b', 'c'] },
      conditions: [
        { type: 'Complete', status: 'False', message: '1 of 3 selected nodes have the image; b at work' },
        { type: 'Success', status: 'True' },
      ],
    })
    const all = join({ a: PRESENT, b: PRESENT, c: PRESENT }, {}, { selected }).patch
    expect(all).toMatchObject({ selected: { count: 3 }, conditions: [{ status: 'True' }, { status: 'True' }] })
    expect(all).not.toHaveProperty('missing')
  })
})

describe('a node that builds nothing', () => {
  const isFetchOnly = (node: string) => node === 'a'

  it('is the build node only if no other node has the image', () => {
    const early = { ...PRESENT, since: at(1) }
    const late = { ...PRESENT, since: at(2) }
    expect(join({ a: early, b: late }, {}, { isFetchOnly }).patch).toMatchObject({
      buildNode: 'b',
      ready: { count: 2 },
    })
    expect(join({ a: early }, {}, { isFetchOnly }).patch).toMatchObject({ status: 'Succeeded', buildNode: 'a' })
    const before = { status: 'Succeeded', buildNode: 'a', imageDigest: PRESENT.imageDigest }
    expect(join({ a: early, b: late }, before, { isFetchOnly }).patch).toMatchObject({ buildNode: 'b' })
  })

  it('that has waited in vain is no failure of the build', () => {
    const vain = { state: 'Failed', retryable: true, message: 'no node has built it' } as const
    expect(join({ a: vain }, {}, { isFetchOnly }).news).toMatchObject({
      main: undefined,
      isLeft: true,
      failed: { count: 1 },
    })
    expect(join({ a: { ...vain, retryable: false } }, {}, { isFetchOnly }).patch).toMatchObject({ status: 'Failed' })
  })
})

describe('the end of the log', () => {
  const building = { state: 'Building', logTail: 'log' } as const
  const written = { status: 'Building', buildNode: 'a', logTail: 'log' } as const
  const present = { state: 'Present', imageDigest: 'sha256:1' } as const

  it('is written while a node builds, once for each change', () => {
    expect(join({ a: building }).patch).toMatchObject({ logTail: 'log' })
    expect(join({ a: building }, written).patch).not.toHaveProperty('logTail')
    expect(join({ a: { ...building, logTail: 'more' } }, written).patch).toMatchObject({ logTail: 'more' })
  })

  it('stays afterwards, also if the node that has built the image takes it back', () => {
    expect(join({ a: { ...present, logTail: 'more' } }, written).patch).toMatchObject({ logTail: 'more' })
    expect(join({ a: present }, written).patch).not.toHaveProperty('logTail')
    expect(join({ b: present }, written).patch).toMatchObject({ logTail: null })
    expect(join({ a: { ...present, buildJobName: 'another' } }, written).patch).toMatchObject({ logTail: null })
  })
})

describe('a NixBuild that has failed', () => {
  const failure = { state: 'Failed', since: at(5), message: 'no space', logTail: 'log', buildJobName: 'run' } as const
  const failed = {
    status: 'Failed',
    buildNode: 'a',
    buildJobName: 'run',
    completionTime: at(5),
    progress: 'failed',
    conditions: [
      { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
      { type: 'Success', status: 'False', reason: 'ResultFailure', message: 'no space' },
    ],
    failed: { count: 1, nodes: ['a'] },
  }

  it('says why and has the end of the log', () => {
    expect(join({ a: failure }).patch).toMatchObject({ ...failed, logTail: 'log' })
  })

  it('keeps the times and the log of the first one if the same failure comes again', () => {
    expect(join({ a: { ...failure, since: at(7), buildJobName: 'another' } }, failed).patch).toBeUndefined()
    expect(join({ a: { ...failure, since: at(7), message: 'another' } }, failed).patch).toMatchObject({
      completionTime: at(7),
      logTail: 'log',
    })
  })

  it('keeps the reason why it was given up', () => {
    const givenUp = { status: 'Failed', completionTime: at(6) }
    expect(join({ a: failure }, givenUp).patch).toEqual({ failed: { count: 1, nodes: ['a'] } })
  })

  it.each([
    ['of which nobody waits', Number.POSITIVE_INFINITY, undefined],
    ['of which a pod waits that the failure concerned', -1_500, 'Failed'],
    ['of which only a younger pod waits', 1_500, undefined],
  ])('that is older than the NixBuild counts or not on a node %s', (_, waitingMs, status) => {
    const born = someBuild().createdAt
    const old = { ...failure, since: new Date(born - 1_000).toISOString() }
    const waitingSince = () => born + waitingMs
    expect(join({ a: old }, {}, { waitingSince }).patch?.status).toBe(status)
  })
})

it('a NixBuild names five of its nodes, whatever the order', () => {
  const nodes = ['g', 'b', 'a', 'f', 'c', 'e', 'd']
  const { news } = join(Object.fromEntries(nodes.map(node => [node, PRESENT])))
  expect(news.ready).toEqual({ count: 7, nodes: ['a', 'b', 'c', 'd', 'e'] })
})
