import { expect, it } from 'vitest'
import { describeProgress } from '../../../shim/wire/progress.ts'
import { readProgress } from '../../../shim/wire/read-progress.ts'

const zero = { done: 0, expected: 0, text: '' }

it.each([
  { ...zero, phase: 'queued' },
  { ...zero, phase: 'queued', done: 3 },
  { ...zero, phase: 'evaluating' },
  { ...zero, phase: 'fetching', done: 3_400_000 },
  { ...zero, phase: 'fetching', done: 3_400_000, expected: 120_000_000 },
  { ...zero, phase: 'building', done: 3, expected: 7, text: 'hello-2.12' },
  { ...zero, phase: 'building', done: 3, expected: 7 },
  { ...zero, phase: 'building', text: 'hello' },
  { ...zero, phase: 'building' },
  { ...zero, phase: 'waiting', text: 'node-1: building 3 of 7' },
  { ...zero, phase: 'copying', text: 'node-1', done: 1_000_000, expected: 2_000_000 },
  { ...zero, phase: 'built', text: '/nix/store/0-app' },
  { ...zero, phase: 'importing', done: 1_000_000 },
  { ...zero, phase: 'unpacking', done: 3, expected: 9 },
  { ...zero, phase: 'present' },
])('reads what is written of $phase, $done of $expected "$text"', progress => {
  expect(readProgress(describeProgress(progress))).toEqual(progress)
})

it('removes terminal escapes, and makes one line of several', () => {
  expect(readProgress('building 3 of 7, \u001b[2Jhello\nworld')).toMatchObject({ done: 3, text: 'hello world' })
  expect(readProgress('\u001b]0;title\u0007wait\r\nhere')).toEqual({ ...zero, phase: 'wait here' })
})

it('takes a text of others as it is', () => {
  expect(describeProgress(readProgress('waiting for another attempt'))).toBe('waiting for another attempt')
  expect(describeProgress(readProgress('starting'))).toBe('starting')
})
