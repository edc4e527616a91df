import { describe, expect, it } from 'vitest'
import type { NodeBuild } from '../../../../kube/resources/nixnode.ts'
import { dueAt, type LastWrite, lastWriteOf, type Pending } from '../../../../shim/cluster/builds/write-schedule.ts'
import { NOW } from './runs.ts'

function build(facts: Partial<NodeBuild> = {}): NodeBuild {
  const since = '2026-01-01T00:00:00Z'
  return {
    namespace: 'team',
    key: 'key',
    state: 'Building',
    since,
    progress: 'evaluating the flake',
    pods: [],
    ...facts,
  }
}

const present = build({ state: 'Present', progress: 'loaded' })
const pods = [{ name: 'web', uid: 'uid-of-web' }]

function pending(facts: Partial<NodeBuild> = {}, rest: Partial<Pending> = {}): Pending {
  return { build: build(facts), isActive: true, since: NOW - 2000, changedAt: NOW - 100, ...rest }
}

const result = (shown: NodeBuild | undefined) => pending({}, { build: shown, isActive: false })
const written: LastWrite = { build: build(), at: NOW, times: 0 }

const started = { startTime: '2026-01-01T00:00:00Z' }
const startedBefore: LastWrite = { build: build(started), at: NOW + 2000, times: 9 }
const logged = build({ ...started, logTail: 'a' })

const queued: LastWrite = { build: build({ state: 'Queued' }), at: NOW, times: 0 }

describe('a build is written', () => {
  it.each<[string, Pending, LastWrite | undefined, number | undefined]>([
    ['300 ms after its start', pending(), undefined, NOW - 1700],
    ['a second after its start if it waits in the queue', pending({ state: 'Queued' }), undefined, NOW - 1000],
    ['only when something has changed', pending(), written, undefined],
    ['5 s later if its progress has changed', pending({ progress: 'building' }), written, NOW + 5000],
    ['10 s later the next time', pending({ progress: 'building' }), { ...written, times: 1 }, NOW + 10_000],
    ['30 s later at most', pending({ progress: 'building' }), { ...written, times: 9 }, NOW + 30_000],
    ['a second after a new state begins', pending({}, { since: NOW + 500 }), queued, NOW + 1500],
    ['at least a second after the last write', pending(), queued, NOW + 1000],
    [
      'three seconds after an import begins',
      pending({ state: 'Importing' }, { since: NOW + 500 }),
      written,
      NOW + 3500,
    ],
    ['immediately when it ends', result(present), written, NOW - 100],
    ['immediately if it ends before its first write', result(present), undefined, NOW - 100],
    ['immediately when there is nothing left to report', result(undefined), written, NOW - 100],
    ['never if it was not written and there is nothing to report', result(undefined), undefined, undefined],
    ['never after its result', result(present), { ...written, build: present }, undefined],
    ['30 s after its start if its log has begun', pending({ ...started, logTail: 'a' }), startedBefore, NOW + 30_000],
    [
      '10 s after the last write if its log grows, also if its progress could wait longer',
      pending({ ...started, logTail: 'b', progress: 'building' }),
      { build: logged, at: NOW + 60_000, times: 9 },
      NOW + 70_000,
    ],
    [
      'never because the log of an image is taken back',
      result(present),
      { ...written, build: { ...present, logTail: 'a' } },
      undefined,
    ],
    ['two seconds after only its pods have changed', pending({ pods }), written, NOW + 1900],
  ])('%s', (_name, facts, before, at) => {
    expect(dueAt(facts, before)).toBe(at)
  })
})

/** Writes for progress that changes constantly, for ten minutes. */
function writeForTenMinutes(): number[] {
  const times: number[] = []
  let last: LastWrite | undefined
  for (let now = NOW; now < NOW + 600_000; now += 100) {
    const facts = pending({ progress: `line ${now}` }, { since: NOW })
    if ((dueAt(facts, last) ?? Number.POSITIVE_INFINITY) > now) continue
    last = lastWriteOf(facts.build, last, now)
    times.push(now - NOW)
  }
  return times
}

describe('progress that changes constantly', () => {
  it('is written less and less often', () => {
    const times = writeForTenMinutes()
    expect(times.slice(0, 5)).toEqual([300, 5300, 15_300, 35_300, 65_300])
    expect(times).toHaveLength(22)
  })
})
