import { describe, expect, it } from 'vitest'
import type { ReportedRunState } from '../../../../shim/cluster/builds/reported-run.ts'
import { dueAt, type LastWrite, lastWriteOf } from '../../../../shim/cluster/builds/write-schedule.ts'
import { NOW, running, succeeded } from './nixbuilds.ts'

const written: LastWrite = { phase: 'Building', progress: 'evaluating the flake', ended: false, at: NOW, times: 0 }

describe('a run is written', () => {
  it.each<[string, ReportedRunState, LastWrite | undefined, number | undefined]>([
    ['300 ms after its start', running(), undefined, NOW - 1700],
    ['only when something has changed', running(), written, undefined],
    ['2 s later if its progress has changed', running({ progress: 'building' }), written, NOW + 2000],
    ['4 s later the next time', running({ progress: 'building' }), { ...written, times: 1 }, NOW + 4000],
    ['30 s later at most', running({ progress: 'building' }), { ...written, times: 9 }, NOW + 30_000],
    ['a second after a new phase starts', running({ phase: 'Importing', phaseSince: NOW + 500 }), written, NOW + 1500],
    [
      'at least a second after the last write',
      running({ phase: 'Importing', phaseSince: NOW - 500 }),
      written,
      NOW + 1000,
    ],
    ['immediately when it ends', succeeded(), written, NOW],
    ['only at its end if it ends immediately', succeeded(), undefined, NOW],
    ['never after its outcome', succeeded(), { ...written, ended: true }, undefined],
  ])('%s', (_name, facts, before, at) => {
    expect(dueAt(facts, before)).toBe(at)
  })
})

/** Writes for progress that changes constantly, for ten minutes. */
function writeForTenMinutes(): number[] {
  const times: number[] = []
  let last: LastWrite | undefined
  for (let now = NOW; now < NOW + 600_000; now += 100) {
    const facts = running({ startedAt: NOW, progress: `line ${now}` })
    if ((dueAt(facts, last) ?? Number.POSITIVE_INFINITY) > now) continue
    last = lastWriteOf(facts, last, now)
    times.push(now - NOW)
  }
  return times
}

describe('progress that changes constantly', () => {
  it('is written less and less often', () => {
    const times = writeForTenMinutes()
    expect(times.slice(0, 5)).toEqual([300, 2300, 6300, 14_300, 30_300])
    expect(times).toHaveLength(23)
  })
})
