import { describe, expect, it } from 'vitest'
import { dueAt, type Written, writtenNow } from '../../../../shim/cluster/nixbuild/pace.ts'
import type { RunFacts } from '../../../../shim/cluster/nixbuild/run-status.ts'
import { NOW, running, succeeded } from '../nixbuilds.ts'

const written: Written = { phase: 'Building', progress: 'evaluating the flake', ended: false, at: NOW, times: 0 }

describe('a run is told of', () => {
  it.each<[string, RunFacts, Written | undefined, number | undefined]>([
    ['300 ms after its begin', running(), undefined, NOW - 1700],
    ['not before there is something new', running(), written, undefined],
    ['2 s later when its progress changed', running({ progress: 'building' }), written, NOW + 2000],
    ['4 s later the next time', running({ progress: 'building' }), { ...written, times: 1 }, NOW + 4000],
    ['30 s later at most', running({ progress: 'building' }), { ...written, times: 9 }, NOW + 30_000],
    ['a second after a new phase began', running({ phase: 'Importing', phaseSince: NOW + 500 }), written, NOW + 1500],
    [
      'a second after the last time at the soonest',
      running({ phase: 'Importing', phaseSince: NOW - 500 }),
      written,
      NOW + 1000,
    ],
    ['at once when it has ended', succeeded(), written, NOW],
    ['at its end when it ends at once', succeeded(), undefined, NOW],
    ['never again after that', succeeded(), { ...written, ended: true }, undefined],
  ])('%s', (_name, facts, before, at) => {
    expect(dueAt(facts, before)).toBe(at)
  })
})

/** Progress that changes all the time, for ten minutes. */
function tellForTenMinutes(): number[] {
  const times: number[] = []
  let last: Written | undefined
  for (let now = NOW; now < NOW + 600_000; now += 100) {
    const facts = running({ startedAt: NOW, progress: `line ${now}` })
    if ((dueAt(facts, last) ?? Number.POSITIVE_INFINITY) > now) continue
    last = writtenNow(facts, last, now)
    times.push(now - NOW)
  }
  return times
}

describe('progress that never rests', () => {
  it('is told less and less often', () => {
    const times = tellForTenMinutes()
    expect(times.slice(0, 5)).toEqual([300, 2300, 6300, 14_300, 30_300])
    expect(times).toHaveLength(23)
  })
})
