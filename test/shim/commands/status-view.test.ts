import { describe, expect, it } from 'vitest'
import { alignColumns } from '../../../lib/text/table.ts'
import { describeCount, describeSize, describeSpan } from '../../../lib/text/units.ts'
import { statusLines } from '../../../shim/commands/status-lines.ts'
import { createStatusBlocks } from '../../../shim/commands/status-view.ts'
import type { StatusReport } from '../../../shim/wire/status.ts'

const NOW = new Date('2026-05-01T12:00:00Z')

function ago(seconds: number): Date {
  return new Date(NOW.getTime() - seconds * 1000)
}

const NOTHING = { files: 0, bytes: 0 }
const REST: StatusReport = {
  shim: {
    version: '1.2.3',
    startedAt: ago(3700),
    containerd: '/run/containerd.sock',
    containerdProblem: undefined,
    rules: 1,
    maxBuilds: 2,
    logs: '/state/logs',
  },
  runs: [],
  queue: [],
  results: [],
  images: [],
  disk: {
    store: { paths: 0, narBytes: 0, problem: undefined },
    digests: NOTHING,
    plans: NOTHING,
    logs: NOTHING,
  },
}

type Run = StatusReport['runs'][number]
const POD = { namespace: 'team-a', pod: 'web-1', nixBuild: undefined }
const RUN: Run = {
  image: 'registry.example/app:1',
  recipe: 'github:team/app#app',
  runId: 'run-1',
  startedAt: ago(65),
  progress: { phase: 'building', done: 3, expected: 12, text: 'gcc-13' },
  waiting: 1,
  waiters: [POD],
}
const RESULT: StatusReport['results'][number] = {
  image: 'registry.example/app:1',
  recipe: 'github:team/app#app',
  endedAt: ago(5),
  tookMs: 1234,
  runId: 'run-1',
  imageId: 'sha256:1',
  storePath: '/nix/store/a',
  errorCode: undefined,
  error: undefined,
  times: 1,
}
const FAILED = { ...RESULT, imageId: undefined, storePath: undefined, errorCode: 'BuilderFailed', error: 'it failed' }
const IMAGE: StatusReport['images'][number] = {
  image: 'registry.example/app:1',
  imageId: `sha256:0123456789abcdef`,
  storePath: '/nix/store/a',
  size: 12_345_678,
  updatedAt: ago(90),
}

/** Lines below a heading. */
function section(report: StatusReport, title: string): string[] {
  const lines = statusLines(report, NOW)
  const start = lines.indexOf(title) + 1
  const length = lines.slice(start).indexOf('')
  return lines.slice(start, length < 0 ? undefined : start + length).map(line => line.slice(2))
}

describe('the status of a shim at rest', () => {
  it('has a section for each topic', () => {
    expect(statusLines(REST, NOW)).toEqual([
      'enbi-shim 1.2.3',
      '  up for 1 h 1 min; 2 concurrent builds; policy of 1 rule',
      '  containerd at /run/containerd.sock answers',
      '',
      'Running',
      '  no build or import is running',
      '',
      'Queue',
      '  nothing waits for a build to end',
      '',
      'Results',
      '  nothing has been built since the shim started',
      '',
      'Images',
      '  the shim keeps no image',
      '',
      'Disk',
      '  Nix store  0 B in 0 store paths that these images hold (NAR sizes)',
      '  cache      0 B in 0 layer digests, 0 B in 0 image plans',
      '  logs       0 B in 0 files in /state/logs',
    ])
  })

  it('says that nothing is built if the policy has no rules', () => {
    const shim = { ...REST.shim, rules: 0 }
    expect(statusLines({ ...REST, shim }, NOW)[1]).toContain('the policy has no rules, so nothing is built')
  })

  it('reports images as unknown if containerd does not answer', () => {
    const report = { ...REST, shim: { ...REST.shim, containerdProblem: 'away' } }
    expect(statusLines(report, NOW)[2]).toBe('  containerd at /run/containerd.sock does not answer: away')
    expect(section(report, 'Images')).toEqual(['not known: containerd does not answer'])
    expect(section(report, 'Disk')[0]).toBe('Nix store  not known: containerd does not answer')
  })
})

describe('the list of runs', () => {
  it('has a row for each run, with its recipe below', () => {
    const runs = [RUN, { ...RUN, image: 'b:1', startedAt: ago(1), progress: { ...RUN.progress, phase: 'evaluating' } }]
    expect(section({ ...REST, runs }, 'Running')).toEqual([
      'IMAGE                   FOR        PHASE',
      'registry.example/app:1  1 min 5 s  building 3 of 12, gcc-13',
      '  github:team/app#app',
      '  for team-a/web-1',
      'b:1                     1 s        evaluating the flake',
      '  github:team/app#app',
      '  for team-a/web-1',
    ])
  })

  it.each<[string, Partial<Run>]>([
    ['for team-a/web-1', {}],
    ['nobody waits any more', { waiting: 0, waiters: [] }],
    ['for namespace team-a', { waiters: [{ ...POD, pod: undefined }] }],
    ['for no namespace', { waiters: [{ namespace: undefined, pod: undefined, nixBuild: undefined }] }],
    ['for NixBuild team-a/app', { waiters: [{ ...POD, pod: undefined, nixBuild: 'app' }] }],
    ['for team-a/web-1, team-a/web-1, team-a/web-1 and 97 more', { waiting: 100, waiters: Array(50).fill(POD) }],
    ['for team-a/web-1, team-a/web-1', { waiting: 2, waiters: [POD, POD] }],
  ])('shows the waiting requests: %s', (text, run) => {
    expect(section({ ...REST, runs: [{ ...RUN, ...run }] }, 'Running').at(-1)).toBe(`  ${text}`)
  })

  it('numbers the queue', () => {
    const queue = [RUN, { ...RUN, image: 'b:1' }]
    expect(section({ ...REST, queue }, 'Queue')).toEqual([
      '#  IMAGE                   FOR',
      '1  registry.example/app:1  1 min 5 s',
      '  github:team/app#app',
      '  for team-a/web-1',
      '2  b:1                     1 min 5 s',
      '  github:team/app#app',
      '  for team-a/web-1',
    ])
  })
})

describe('the list of results', () => {
  it.each<[string, StatusReport['results'][number], string, string[]]>([
    ['done', RESULT, 'done    5 s  1.2 s  run-1', []],
    ['failed', FAILED, 'BuilderFailed  5 s  1.2 s  run-1', ['it failed']],
    ['failed often', { ...FAILED, times: 3 }, 'BuilderFailed ×3  5 s  1.2 s  run-1', ['it failed']],
    ['refused', { ...FAILED, tookMs: undefined, runId: undefined }, 'BuilderFailed  5 s  –     –', ['it failed']],
    ['long', { ...RESULT, tookMs: 3_700_000 }, 'done    5 s  1 h 1 min  run-1', []],
  ])('%s', (_name, result, row, error) => {
    expect(section({ ...REST, results: [result] }, 'Results').slice(1)).toEqual([
      `registry.example/app:1  ${row}`,
      '  github:team/app#app',
      ...error.map(line => `  ${line}`),
    ])
  })

  it('is followed by the images', () => {
    const nameless = {
      image: undefined,
      imageId: undefined,
      storePath: undefined,
      size: undefined,
      updatedAt: undefined,
    }
    expect(section({ ...REST, images: [IMAGE, nameless] }, 'Images')).toEqual([
      'IMAGE                   ID            SIZE     AGO',
      'registry.example/app:1  0123456789ab  12.3 MB  1 min 30 s',
      '  /nix/store/a',
      '(no name any more)      –             –        –',
    ])
  })

  it('shows no control characters', () => {
    const results = [{ ...FAILED, error: 'a\x1b[31mb\tc\rd' }]
    expect(section({ ...REST, results }, 'Results').at(-1)).toBe('  ab c d')
  })

  it('says why the size of the store is unknown', () => {
    const disk = { ...REST.disk, store: { paths: 0, narBytes: 0, problem: 'no nix' } }
    expect(section({ ...REST, disk }, 'Disk')[0]).toBe('Nix store  not known: no nix')
  })
})

describe('on a terminal, the status', () => {
  const LONG = `nix:0/nix/store/${'a'.repeat(32)}-a-service-with-a-rather-long-name-of-its-own-1.2.3-linked:latest`
  const RUN_ID = '20260131T235959Z-5e6f7a8b-0a1b2c3d'
  const recipe = `git+https://git.example/team/${'deep/'.repeat(20)}repository?rev=${'f'.repeat(40)}#image`
  const progress = { ...RUN.progress, text: 'a-derivation-with-a-name-that-is-quite-long-as-well-1.2.3' }
  const long = { image: LONG, recipe, runId: RUN_ID }
  const report: StatusReport = {
    ...REST,
    runs: [{ ...RUN, ...long, progress }],
    queue: [{ ...RUN, ...long }],
    results: [
      { ...RESULT, ...long, tookMs: 754_000, endedAt: ago(3_700) },
      { ...FAILED, ...long, times: 3, error: 'it failed '.repeat(40) },
    ],
    images: [{ ...IMAGE, image: LONG, storePath: `/nix/store/${'a'.repeat(200)}-end` }],
  }

  it.each([60, 80, 100, 160])('fits into %d columns, and cuts only names and sentences', width => {
    const lines = statusLines(report, NOW, width)
    expect(lines.filter(line => line.length > width)).toEqual([])
    expect(lines).toHaveLength(statusLines(report, NOW).length + (width < 120 ? 2 : 0))
    const rows = lines.filter(line => /(?:^|\s)(?:nix:0|\S*…\S*:latest)/.test(line))
    expect(rows).toHaveLength(5)
    for (const row of rows) expect(row).toMatch(/nix:0\S*:latest/)
    expect(rows[0]).toMatch(/ 1 min 5 s {2}build/)
    expect(rows[1]).toMatch(/ 1 min 5 s$/)
    expect(rows[2]).toMatch(/ done +1 h 1 min {2}12 min 34 s(?: {2}|$)/)
    expect(rows[3]).toMatch(/ BuilderFailed ×3 +5 s +1\.2 s(?: {2}|$)/)
    expect(rows[4]).toMatch(/ 0123456789ab {2}12\.3 MB {2}1 min 30 s$/)
    expect(lines.filter(line => line.includes(RUN_ID))).toHaveLength(2)
    expect(lines).toContainEqual(expect.stringMatching(/^ {4}it failed it failed.*…$/))
  })

  it('is not cut if it fits', () => {
    const wide = { ...REST, results: [{ ...RESULT, runId: RUN_ID }] }
    expect(statusLines(wide, NOW, 120)).toEqual(statusLines(wide, NOW))
  })
})

describe('blocks of status', () => {
  function shown(...reports: StatusReport[]): string[] {
    const written: string[] = []
    const view = createStatusBlocks({ write: text => written.push(text) > 0 })
    reports.forEach(view.show)
    return written
  }
  const withRun = (run: Partial<Run>) => ({ ...REST, runs: [{ ...RUN, ...run }] })

  it('are separated by an empty line', () => {
    const [first = '', second = ''] = shown(REST, withRun({}))
    expect(first).toMatch(/^enbi-shim/)
    expect(second).toMatch(/^\nenbi-shim/)
  })

  it.each<[string, StatusReport, number]>([
    ['one more derivation', withRun({ progress: { ...RUN.progress, done: 4 } }), 1],
    ['a bigger log', { ...withRun({}), disk: { ...REST.disk, logs: { files: 1, bytes: 1 } } }, 1],
    ['another phase', withRun({ progress: { ...RUN.progress, phase: 'importing' } }), 2],
    ['another waiting request', withRun({ waiters: [POD, POD] }), 2],
    ['a result', { ...withRun({}), results: [RESULT] }, 2],
    ['an image', { ...withRun({}), images: [IMAGE] }, 2],
    ['containerd becoming unreachable', { ...withRun({}), shim: { ...REST.shim, containerdProblem: 'away' } }, 2],
  ])('are printed again, or not, after %s', (_name, next, count) => {
    expect(shown(withRun({}), next)).toHaveLength(count)
  })
})

describe('quantities', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [123_456, '123 kB'],
    [1_234_567, '1.2 MB'],
    [45_600_000_000, '45.6 GB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(describeSize(bytes)).toBe(text)
  })

  it.each([
    [-5, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min 0 s'],
    [3_599_000, '59 min 59 s'],
    [3_600_000, '1 h 0 min'],
    [90_000_000, '1 d 1 h'],
  ])('%d ms are %s', (milliseconds, text) => {
    expect(describeSpan(milliseconds)).toBe(text)
  })

  it.each([
    [0, '0 rules'],
    [1, '1 rule'],
    [2, '2 rules'],
  ])('%d is %s', (count, text) => {
    expect(describeCount(count, 'rule')).toBe(text)
  })
})

describe('columns', () => {
  it('are as wide as their widest cell', () => {
    expect(
      alignColumns([
        ['A', 'BB', 'C'],
        ['aaa', 'b', 'cc'],
        ['', '', ''],
      ]),
    ).toEqual(['A    BB  C', 'aaa  b   cc', ''])
  })

  it('are shortened in the middle of their cells, widest column first', () => {
    const rows = [['registry.example/app:1', 'a-phase-of-some-length', '12 s']]
    expect(alignColumns(rows, 40)).toEqual(['regis…mple/app:1  a-pha…ome-length  12 s'])
    expect(alignColumns(rows, 10)).toEqual(['r…pp:1  a…ngth  12 s'])
  })
})
