import { expect, test } from 'vitest'
import { readPathInfo } from '../../shim/build/path-info-answer.ts'

const PATH = `/nix/store/${'a'.repeat(32)}-one`
const OTHER = `/nix/store/${'b'.repeat(32)}-two`
const FACTS = { narHash: 'sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=', narSize: 120, references: [OTHER] }
const INFO = {
  path: PATH,
  narHash: '10551daed7fa467d0b58826e7eb9a0f2af7d693de319f2ef775fffcda244b9f6',
  narSize: 120,
  references: [OTHER],
}

test.each([
  ['a list, as up to 2.18', [{ path: PATH, ...FACTS, deriver: OTHER }], [INFO]],
  [
    'what a list calls invalid is left out',
    [
      { path: OTHER, valid: false },
      { path: PATH, ...FACTS },
    ],
    [INFO],
  ],
  ['an object, as from 2.19 on', { [PATH]: FACTS }, [INFO]],
  ['null is left out', { [PATH]: FACTS, [OTHER]: null }, [INFO]],
  ['nothing', [], []],
])('nix answers about store paths: %s', (_what, answer, infos) => {
  expect(readPathInfo(JSON.stringify(answer))).toEqual(infos)
})

test.each([
  ['no JSON', 'error: '],
  ['another hash', JSON.stringify([{ path: PATH, ...FACTS, narHash: 'sha256:abc' }])],
  ['no store path', JSON.stringify({ '/etc': FACTS })],
  ['a size below zero', JSON.stringify([{ path: PATH, ...FACTS, narSize: -1 }])],
])('an answer that makes no sense is an error: %s', (_what, stdout) => {
  expect(() => readPathInfo(stdout)).toThrow('no answer that makes sense')
})
