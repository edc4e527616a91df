import { expect, test } from 'vitest'
import { type Failure, shouldResend } from '../../../shim/proxy/resend.ts'

const READ = '/runtime.v1.ImageService/ImageStatus'
const WRITE = '/runtime.v1.RuntimeService/RunPodSandbox'
const status = (code: number, message = ''): Failure => ({ kind: 'status', status: { code, message } })

test.each<[string, string, Failure, number, boolean]>([
  ['a call that containerd cannot have seen is sent again', WRITE, { kind: 'unprocessed' }, 1e9, true],
  ['a call that only reads is sent again after it was cut off', READ, { kind: 'cut' }, 1e9, true],
  ['a call that may have changed something is not sent again after it was cut off', WRITE, { kind: 'cut' }, 0, false],
  [
    'a call of an unknown method is not sent again after it was cut off',
    '/example.New/Method',
    { kind: 'cut' },
    0,
    false,
  ],
  [
    'a call that a CRI plugin refuses during its start is sent again',
    WRITE,
    status(2, 'server is not initialized yet'),
    1e9,
    true,
  ],
  [
    'a call that a newer CRI plugin refuses during its start is sent again',
    WRITE,
    status(14, 'x: server is not initialized yet'),
    1e9,
    true,
  ],
  [
    'a call that fails with the same text and another code is not sent again',
    READ,
    status(5, 'server is not initialized yet'),
    0,
    false,
  ],
  ['a call that only reads is sent again after UNAVAILABLE', READ, status(14, 'transport is closing'), 100, true],
  [
    'a call that only reads is not sent again when UNAVAILABLE lasts',
    READ,
    status(14, 'transport is closing'),
    10_000,
    false,
  ],
  ['a call that may have changed something is not sent again after UNAVAILABLE', WRITE, status(14), 0, false],
  ['a call that has succeeded is not sent again', READ, status(0), 0, false],
  ['a call is not sent again after any other error', READ, status(2, 'no such image'), 0, false],
])('%s', (_what, path, failure, refusedForMs, expected) => {
  expect(shouldResend(path, failure, refusedForMs)).toBe(expected)
})
