import { describe, expect, it } from 'vitest'
import type { WireProgress } from '../../shim/pull/enbi-messages.ts'
import { describeDuration, describeProgress } from '../../shim/terminal/describe.ts'
import { createLineView } from '../../shim/terminal/line-view.ts'

function progress(phase: string, rest: Partial<WireProgress> = {}): WireProgress {
  return { phase, done: 0, expected: 0, text: '', ...rest }
}

describe('progress in words', () => {
  it.each([
    [progress('queued', { done: 3 }), 'waiting, 3 ahead'],
    [progress('queued'), 'waiting for a build to end'],
    [progress('evaluating'), 'evaluating the flake'],
    [progress('building', { done: 1, expected: 3, text: 'hello-1.0' }), 'building 1 of 3, hello-1.0'],
    [progress('fetching', { done: 1_500_000, expected: 3_000_000 }), 'fetching 1.5 MB of 3.0 MB'],
    [progress('importing', { done: 1_500_000 }), 'importing 1.5 MB'],
    [progress('unpacking', { done: 2, expected: 5 }), 'unpacking layer 2 of 5'],
    [progress('present'), 'the image is there already'],
    [progress('something new'), 'something new'],
  ])('%o', (given, text) => {
    expect(describeProgress(given)).toBe(text)
  })

  it.each([
    [12.4, '12 ms'],
    [999, '999 ms'],
    [1234, '1.2 s'],
  ])('%d ms is %s', (milliseconds, text) => {
    expect(describeDuration(milliseconds)).toBe(text)
  })
})

describe('plain lines', () => {
  it('come for every step and not for every byte', () => {
    const lines: string[] = []
    const output = { write: (text: string) => lines.push(text) > 0 }
    const view = createLineView({ image: 'app:1', output })
    view.progress(progress('importing', { done: 0, expected: 9e7 }))
    view.progress(progress('importing', { done: 1e6, expected: 9e7 }))
    view.progress(progress('importing', { done: 8e7, expected: 9e7 }))
    view.progress(progress('log', { text: 'hello' }))
    view.done('sha256:1')
    expect(lines.map(line => line.replace(/^\s*[\d.]+ m?s/, ''))).toEqual([
      '  importing 0.0 MB of 90.0 MB\n',
      '  importing 80.0 MB of 90.0 MB\n',
      '          | hello\n',
      '  app:1 is sha256:1\n',
    ])
  })
})
