import type { Findings } from '../results.ts'
import { differences, type Outcome } from './read-report.ts'
import type { CritestOutcomes } from './run-critest.ts'

/** Fewer tests than this may fail against containerd itself: it is the machine and the stand-ins that these do not suit. */
const FAILURES_LIMIT = 10

export function critestSection({ direct, imagesThroughShim, allThroughShim }: CritestOutcomes): Findings {
  const ways: [string, Outcome][] = [
    ['containerd', direct],
    ['image endpoint through the shim', imagesThroughShim],
    ['both endpoints through the shim', allThroughShim],
  ]
  return {
    columns: ['way', 'passed', 'failed', 'other result than directly'],
    rows: ways.map(([way, outcome]) => [
      way,
      String(outcome.passed.length),
      String(outcome.failed.length),
      way === 'containerd' ? '–' : differences(direct, outcome).join('; ') || 'none',
    ]),
    problems: [
      ...(direct.failed.length < FAILURES_LIMIT ? [] : [`${direct.failed.length} tests fail without the shim`]),
      ...ways.slice(1).flatMap(([way, outcome]) => differences(direct, outcome).map(name => `${way}: ${name}`)),
    ],
  }
}

/** The tests that fail against containerd itself. */
export function failuresSection({ direct }: CritestOutcomes): Findings {
  return { columns: ['test'], rows: direct.failed.map(name => [name]), problems: [] }
}
