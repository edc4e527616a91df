import { describe, expect, it } from 'vitest'
import { FinalError, RetryableError } from '../../../lib/errors.ts'
import { isRedrawable } from '../../../lib/text/terminal.ts'
import { describeDuration } from '../../../lib/text/units.ts'
import { createJsonView, createLineView } from '../../../shim/commands/pull-view.ts'
import { describeProgress, type WireProgress } from '../../../shim/wire/progress.ts'

function progress(phase: string, rest: Partial<WireProgress> = {}): WireProgress {
  return { phase, done: 0, expected: 0, text: '', ...rest }
}

describe('described progress', () => {
  it.each([
    [progress('queued', { done: 3 }), 'waiting, 3 ahead'],
    [progress('queued'), 'waiting for a build to end'],
    [progress('evaluating'), 'evaluating the flake'],
    [progress('building', { done: 1, expected: 3, text: 'hello-1.0' }), 'building 1 of 3, hello-1.0'],
    [progress('building', { text: 'hello-1.0' }), 'building hello-1.0'],
    [progress('fetching', { done: 1_500_000, expected: 3_000_000 }), 'fetching 1.5 MB of 3.0 MB'],
    [progress('waiting', { text: 'worker-3: building 1 of 3' }), 'waiting for worker-3: building 1 of 3'],
    [progress('copying', { text: 'worker-3', done: 1_500_000 }), 'copying from worker-3, 1.5 MB'],
    [progress('importing', { done: 1_500_000 }), 'importing 1.5 MB'],
    [progress('unpacking', { done: 2, expected: 5 }), 'unpacking layer 2 of 5'],
    [progress('present'), 'the image exists already'],
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
  it('are printed for every step, but not for every byte', () => {
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

describe('live views', () => {
  it.each([
    ['a terminal', { isTTY: true, columns: 80 }, true],
    ['a terminal that does not tell its size', { isTTY: true, columns: 0 }, false],
    ['a pipe', {}, false],
  ])('are used only if the output can be redrawn: %s', (_what, output, redrawable) => {
    expect(isRedrawable(output)).toBe(redrawable)
  })
})

describe('the output of builders', () => {
  it('is cut in a pipe, with the number of missing lines', () => {
    const lines: string[] = []
    const view = createLineView({ image: 'app:1', output: { write: text => lines.push(text) > 0 } })
    for (let count = 1; count <= 10_000; count += 1) view.progress(progress('log', { text: `line ${count}` }))
    view.failed(new FinalError('BuilderFailed', 'it failed'))
    expect(lines).toHaveLength(201)
    expect(lines.slice(-2)).toEqual([
      '          | line 200\n',
      '          | … and 9800 more, which are in the log on the node\n',
    ])
  })
})

describe('JSON', () => {
  it.each([
    [
      'of the shim',
      new RetryableError('PullFailed', 'no', { cause: new FinalError('BuilderFailed', 'no') }),
      'BuilderFailed',
    ],
    ['of the command', new RetryableError('ShimAway', 'no'), 'ShimAway'],
    [
      'of the command that has a cause',
      new FinalError('RecipeInvalid', 'no', { cause: new FinalError('RecipeInvalid', 'of an annotation') }),
      'RecipeInvalid',
    ],
  ])('ends with the code of an error %s', (_whose, error, code) => {
    const lines: string[] = []
    createJsonView({ image: 'app:1', output: { write: text => lines.push(text) > 0 } }).failed(error)
    expect(lines.map(line => JSON.parse(line))).toEqual([
      { phase: 'failed', image: 'app:1', code, retryable: code === 'ShimAway', message: 'no' },
    ])
  })
})
