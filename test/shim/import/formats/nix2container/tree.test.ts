import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mergedEntries } from '../../../../../shim/import/formats/nix2container/entries.ts'
import { compileRegexes, replaceAll } from '../../../../../shim/import/formats/nix2container/regex.ts'
import { CURRENT_FORM, type MergedPath } from '../../../../../shim/import/image/store-image.ts'

const makeStore = () => mkdtempDisposable(join(realpathSync(tmpdir()), 'merged-tree-'))

function makeApp(store: string, name = 'app', content = 'aaa'): string {
  const path = join(store, name)
  mkdirSync(join(path, 'bin'), { recursive: true, mode: 0o755 })
  writeFileSync(join(path, 'bin', 'a'), content, { mode: 0o555 })
  return path
}

const moved = (path: string, repl: string): MergedPath => ({ path, rewrite: { regex: `^${path}`, repl }, perms: [] })

async function namesOf(...paths: MergedPath[]): Promise<string[]> {
  return [...mergedEntries({ paths, form: CURRENT_FORM }, await compileRegexes({ paths }))].map(({ name }) => name)
}

test.each([
  ['', ['/', '/bin', '/bin/a']],
  ['/opt', ['/', '/opt', '/opt/bin', '/opt/bin/a']],
  ['rel/x', ['rel', 'rel/x', 'rel/x/bin', 'rel/x/bin/a']],
  ['/../../o', ['/', '/o', '/o/bin', '/o/bin/a']],
  ['/./o//p/..', ['/', '/o', '/o/bin', '/o/bin/a']],
])('files that are moved to %j are below the root', async (repl, names) => {
  await using store = await makeStore()
  expect(await namesOf(moved(makeApp(store.path), repl))).toEqual(names)
})

test.each(['../x', 'a/../../x', '..', 'a\0b'])('a place such as %j is rejected', async repl => {
  await using store = await makeStore()
  await expect(namesOf(moved(makeApp(store.path), repl))).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

test.each([
  ['deep', '/d'.repeat(254), 'folders deep'],
  ['long', `/${'n'.repeat(4090)}`, 'too long a path'],
])('a place that is too %s is rejected', async (_what, repl, why) => {
  await using store = await makeStore()
  await expect(namesOf(moved(makeApp(store.path), repl))).rejects.toThrow(why)
})

test('two different files at one place are rejected, and equal ones are merged', async () => {
  await using store = await makeStore()
  const [one, alike, other] = [makeApp(store.path), makeApp(store.path, 'alike'), makeApp(store.path, 'other', 'more')]
  expect(await namesOf(moved(one, ''), moved(alike, ''))).toEqual(['/', '/bin', '/bin/a'])
  await expect(namesOf(moved(one, ''), moved(other, ''))).rejects.toThrow('two different files at "/bin/a"')
})

test('nothing gets below a symlink or a file', async () => {
  await using store = await makeStore()
  const app = makeApp(store.path)
  const link = join(store.path, 'link')
  symlinkSync('/etc', link)
  await expect(namesOf(moved(link, '/bin'), moved(app, '/bin'))).rejects.toThrow('two different files')
  await expect(namesOf(moved(link, '/opt'), moved(app, '/opt/app'))).rejects.toThrow('where a folder')
  await expect(namesOf(moved(link, '/'))).rejects.toThrow('where a folder')
})

test.each(['(?=a)', '(', '(?P<n>a)(?P<n>b)'])('the regular expression %j is rejected', async regex => {
  const paths = [{ path: '/x', rewrite: { regex, repl: '' }, perms: [] }]
  await expect(compileRegexes({ paths })).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

test.each([
  ['aab', 'a', '<$0>', '<a><a>b'],
  ['aab', 'a*', '-', '-b-'],
  ['abc', '(?P<n>b)', `\${n}$n$1$$`, 'abbb$c'],
  ['abc', '(b)', `$1x|\${1}x|$01|$`, 'a|bx||$c'],
  ['abc', '(b)|(z)', '[$2]', 'a[]c'],
  ['a.b', '\\b', '|', '|a|.|b|'],
])('in %j, %j is replaced by %j as Go does', async (text, regex, repl, expected) => {
  const regexes = await compileRegexes({ paths: [{ path: '/x', rewrite: { regex, repl }, perms: [] }] })
  const compiled = regexes.get(regex)
  expect(compiled && replaceAll(text, compiled, repl)).toBe(expected)
})
