import { expect, test } from 'vitest'
import { parseNameInSet, parsePackageName } from '../../recipes/package-name.ts'
import { hostSystem, parseSystem } from '../../recipes/system.ts'

test.each([
  ['app', ['app']],
  ['images.web', ['images', 'web']],
  ['chog-docker.stream-layered', ['chog-docker', 'stream-layered']],
  ["a_b'.c+d", ["a_b'", 'c+d']],
  ['7zip', ['7zip']],
  ['images."web.v2".x', ['images', 'web.v2', 'x']],
])('the package name %s is the attribute path %j', (text, parts) => {
  expect(parsePackageName(text)).toEqual({ text, parts, isFull: false })
})

test('a leading dot makes a package name a full attribute path, which package sets reject', () => {
  const text = '.containers.x86_64-linux."web.v2"'
  expect(parsePackageName(text)).toEqual({ text, parts: ['containers', 'x86_64-linux', 'web.v2'], isFull: true })
  expect(() => parseNameInSet(text)).toThrow(expect.objectContaining({ code: 'RecipeInvalid' }))
})

test.each([
  '',
  '.',
  '..a',
  '.a..b',
  'a.',
  'a..b',
  '-a',
  '--impure',
  'a b',
  'a\n',
  'a#b',
  'a^*',
  '"',
  '""',
  '"a',
  '"a"b',
  `"a$\{b}"`,
  '"a\\"b"',
  `$\{a}`,
  'a;b',
  'a/b',
  'ä',
  'a'.repeat(257),
  'a.'.repeat(100_000),
])('the package name %j is rejected', text => {
  expect(() => parsePackageName(text)).toThrow(
    expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringMatching(/^.{1,200}$/) }),
  )
})

test.each(['x86_64-linux', 'aarch64-linux', 'i686-linux'])('the system %s is accepted', text => {
  expect(parseSystem(text)).toBe(text)
})

test.each(['', 'x86_64', 'linux', 'x86_64-linux\n', '--system', 'X86-LINUX', `${'a'.repeat(30)}-linux`])(
  'the system %j is rejected',
  text => {
    expect(() => parseSystem(text)).toThrow(expect.objectContaining({ code: 'RecipeInvalid' }))
  },
)

test('this machine has a valid system', () => {
  expect(parseSystem(hostSystem())).toBe(hostSystem())
})
