import { expect, test } from 'vitest'
import { parsePathInfo } from '../../../../shim/nix/store/path-info-answer.ts'

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
  ['a list, the format until 2.18,', [{ path: PATH, ...FACTS, deriver: OTHER }], [INFO]],
  [
    'invalid paths in a list',
    [
      { path: OTHER, valid: false },
      { path: PATH, ...FACTS },
    ],
    [INFO],
  ],
  ['an object, the format since 2.19,', { [PATH]: FACTS }, [INFO]],
  ['brackets, commas and quotes in texts', [{ path: PATH, ...FACTS, ca: '}],{"\\' }], [INFO]],
  ['null for an invalid path', { [PATH]: FACTS, [OTHER]: null }, [INFO]],
  ['no paths', [], []],
])('an answer of nix about store paths with %s is read', async (_what, answer, infos) => {
  expect(await parsePathInfo(JSON.stringify(answer))).toEqual(infos)
  expect(await parsePathInfo(`${JSON.stringify(answer, null, 2)}\n`)).toEqual(infos)
})

test.each([
  ['no JSON', 'error: '],
  ['nothing', ''],
  ['a list that is cut short', JSON.stringify([{ path: PATH, ...FACTS }]).slice(0, -1)],
  ['an object that is cut short', JSON.stringify({ [PATH]: FACTS }).slice(0, -2)],
  ['a text that is cut short', '["'],
  ['text after the end', '[] []'],
  ['a list that ends as an object', `[${JSON.stringify({ path: PATH, ...FACTS })}}`],
  ['a comma too many', `[${JSON.stringify({ path: PATH, ...FACTS })},]`],
  ['only a comma', '[,]'],
  ['another hash', JSON.stringify([{ path: PATH, ...FACTS, narHash: 'sha256:abc' }])],
  ['no store path', JSON.stringify({ '/etc': FACTS })],
  ['a size below zero', JSON.stringify([{ path: PATH, ...FACTS, narSize: -1 }])],
])('an invalid answer is an error: %s', async (_what, stdout) => {
  await expect(parsePathInfo(stdout)).rejects.toThrow('an unexpected answer')
})

test('other tasks run while a long answer is parsed', async () => {
  const answer = parsePathInfo(JSON.stringify(Array.from({ length: 2_000 }, () => ({ path: PATH, ...FACTS }))))
  let turns = 0
  let isRead = false
  void answer.then(() => {
    isRead = true
  })
  for (; !isRead; turns += 1) await new Promise(resolve => setImmediate(resolve))
  expect(turns).toBeGreaterThan(10)
  expect(await answer).toHaveLength(2_000)
})
