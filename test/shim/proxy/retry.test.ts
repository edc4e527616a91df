import { expect, test } from 'vitest'
import { type Failure, shouldResend } from '../../../shim/proxy/retry.ts'

const READ = '/runtime.v1.ImageService/ImageStatus'
const WRITE = '/runtime.v1.RuntimeService/RunPodSandbox'
const status = (code: number, message = ''): Failure => ({ kind: 'status', status: { code, message } })

test.each<[string, string, Failure, number, boolean]>([
  ['what containerd cannot have seen', WRITE, { kind: 'unprocessed' }, 1e9, true],
  ['what was cut off and only reads', READ, { kind: 'cut' }, 1e9, true],
  ['what was cut off and may have changed something', WRITE, { kind: 'cut' }, 0, false],
  ['what was cut off and is unknown', '/example.New/Method', { kind: 'cut' }, 0, false],
  ['what a CRI plugin refuses while it starts', WRITE, status(2, 'server is not initialized yet'), 1e9, true],
  ['the same with the code that newer ones give', WRITE, status(14, 'x: server is not initialized yet'), 1e9, true],
  ['that text under a code that says something else', READ, status(5, 'server is not initialized yet'), 0, false],
  ['UNAVAILABLE for what only reads', READ, status(14, 'transport is closing'), 100, true],
  ['UNAVAILABLE that lasts', READ, status(14, 'transport is closing'), 10_000, false],
  ['UNAVAILABLE for what may have changed something', WRITE, status(14), 0, false],
  ['an answer that is fine', READ, status(0), 0, false],
  ['any other error', READ, status(2, 'no such image'), 0, false],
])('%s', (_what, path, failure, refusedForMs, expected) => {
  expect(shouldResend(path, failure, refusedForMs)).toBe(expected)
})
