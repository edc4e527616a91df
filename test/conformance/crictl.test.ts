import { describe, expect, it } from 'vitest'
import { differingParts } from '../../conformance/crictl/compare-answers.ts'

const ANSWER = { exitCode: 0, stdout: '', stderr: '' }

describe('two answers of crictl', () => {
  it.each([
    ['the time of a log line', 'time="2026-11-28T02:13:08Z" level=fatal', 'time="2026-11-28T02:13:09Z" level=fatal'],
    ['the process of a log line', 'E1128 02:13:08.1 633 a.go:1] no', 'E1128 02:13:08.2 640 a.go:1] no'],
    ['the socket', 'cannot reach unix:///run/a.sock', 'cannot reach unix:///run/b.sock'],
    ['the time of a measurement', '"timestamp": "1"', '"timestamp": "2"'],
    ['the order in which images are deleted', 'Deleted: a\nDeleted: b', 'Deleted: b\nDeleted: a'],
  ])('are the same if only %s differs', (_, stdout, other) => {
    expect(differingParts({ ...ANSWER, stdout }, { ...ANSWER, stdout: other })).toEqual([])
  })

  it.each([
    ['exitCode', { exitCode: 1 }],
    ['stdout', { stdout: 'IMAGE' }],
    ['stderr', { stderr: 'not found' }],
  ])('differ in %s', (part, change) => {
    expect(differingParts(ANSWER, { ...ANSWER, ...change })).toEqual([part])
  })
})
