import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, realpathSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compileRegexes } from '../../../../../shim/import/formats/nix2container/regex.ts'
import { mergedLayerTar } from '../../../../../shim/import/formats/nix2container/tar.ts'
import { type GoHeader, goHeader } from '../../../../../shim/import/formats/nix2container/tar-header.ts'
import {
  CURRENT_FORM,
  inAllForms,
  type MergedForm,
  type MergedPath,
} from '../../../../../shim/import/image/store-image.ts'

// nix2container's own TarPathsSum computed the expected digests, with Go 1.26, at its commits de69713, 5fb215a and 20aad30.

const makeStore = () => mkdtempDisposable(join(realpathSync(tmpdir()), 'go-tar-'))

async function tarDigest(paths: readonly MergedPath[], form: MergedForm = CURRENT_FORM): Promise<string> {
  const hash = createHash('sha256')
  for (const chunk of mergedLayerTar({ paths, form }, await compileRegexes({ paths }))) hash.update(chunk)
  return hash.digest('hex')
}

/** As nix2container makes it today, and made it until November 2024 and until July 2024, without duplicates. */
async function digestsInAllForms(path: MergedPath): Promise<string[]> {
  return Promise.all(inAllForms({ paths: [path], form: CURRENT_FORM }).map(({ form }) => tarDigest([path], form)))
}

const moved = (path: string, repl: string, perms: MergedPath['perms'] = []) => {
  return { path, rewrite: { regex: `^${path}`, repl }, perms }
}

test('a layer without store paths is two empty blocks', async () => {
  expect(await tarDigest([])).toBe('5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef')
})

test('two store paths are merged at the root', async () => {
  await using store = await makeStore()
  const [app, lib] = ['app', 'lib'].map(name => join(store.path, name)) as [string, string]
  for (const path of [app, lib]) mkdirSync(join(path, 'bin'), { recursive: true, mode: 0o755 })
  writeFileSync(join(app, 'bin', 'a'), 'aaa', { mode: 0o555 })
  writeFileSync(join(lib, 'bin', 'b'), 'bb', { mode: 0o644 })
  linkSync(join(lib, 'bin', 'b'), join(lib, 'hard'))
  mkdirSync(join(lib, 'empty'), { mode: 0o755 })
  symlinkSync('../bin/b', join(lib, 'bin', 'link'))
  expect(await tarDigest([moved(app, ''), moved(lib, '')])).toBe(
    '5487ecd6fbdcc6d2cc0298f74dd41752fd47e63c92a018546ed09a1473dbd10c',
  )
})

const owned = { uid: 3_000_000, gid: 5, uname: 'ü'.repeat(20), gname: 'g'.repeat(33) }

test('permissions change mode and owner, and the last one that matches counts', async () => {
  await using store = await makeStore()
  const app = join(store.path, 'app')
  mkdirSync(app, { mode: 0o755 })
  writeFileSync(join(app, 'tool'), 'tool', { mode: 0o555 })
  symlinkSync('tool', join(app, 'link'))
  const perms = [
    { regex: 'tool$|link$', mode: '4755', ...owned },
    { regex: 'link', mode: '', uid: 1, gid: 2, uname: '', gname: '' },
  ]
  expect(await digestsInAllForms(moved(app, '/opt/app', perms))).toEqual([
    'ec76df8b9964e6e368cafbf142b7287ae6b2dcebb9582476273055eaa3f5e006',
    '9479a460ae7e83e4e31c8a54f44a1da3a0bb34cfa77046e65dc4363d2475f5d0',
    'f6f2634014abfe9703697834c1fc2c47179a5eb4b5e1302ed8622c7e69476b0d',
  ])
  const group = [{ regex: 'tool$', mode: '4755', uid: 1, gid: 2, uname: '', gname: 'users' }]
  expect(await digestsInAllForms(moved(app, '/opt/app', group))).toEqual([
    'ae79b16d24ee65ecc4f4c288a3110d9de404337bc8e70b15843b1623f3f42c1b',
    '37e6e2cc359a0c505177975ac96d7fe1ce71e270c917c2dde296f9029cdf7780',
    'a162470c7a45e7b6ea5eef4708cd0c6f5f3593de657c2d46bb843843be968684',
  ])
  expect(await digestsInAllForms(moved(app, '/opt/app'))).toEqual([
    '3ad497e13df7152f04d4fec97b479529dba417b885128217512107054bbc55ce',
    '9313fd51e46f4d68ff7d0bed09dbaed7789065059063e30da90ac9663c3ad87e',
  ])
})

test('a large file is complete, including the borders of chunks', async () => {
  await using store = await makeStore()
  for (const size of [512 * 1024 - 4 * 512, 512 * 1024, 3_000_001]) {
    const path = join(store.path, `${size}`)
    writeFileSync(path, '')
    truncateSync(path, size)
    const paths = [moved(path, '/f')]
    const lengths = [...mergedLayerTar({ paths, form: CURRENT_FORM }, await compileRegexes({ paths }))].map(
      ({ length }) => length,
    )
    const sum = lengths.reduce((total, length) => total + length, 0)
    expect(sum).toBe(512 * 2 + Math.ceil(size / 512) * 512 + 1024)
  }
})

const FILE: GoHeader = {
  type: 'file',
  name: '/a',
  linkName: '',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 1,
  uname: 'root',
  gname: 'root',
}

const utf8 = (text: string) => Buffer.from(text).toString('latin1')

const HEADERS: readonly (readonly [title: string, fields: Partial<GoHeader>, sha256: string])[] = [
  ['a plain file is ustar', {}, '34bc0483114083787909d698954bfa1ea43122bdfeb470c70fe44214031845bf'],
  [
    'a folder’s name has no slash at its end',
    { type: 'directory', name: '/nix' },
    'f6273ba561b14e1cf4cf166a5a901b09cd5524e7eac6f123855693ddefd36ce7',
  ],
  [
    'a name of 100 characters fits',
    { name: `/${'n'.repeat(99)}` },
    'acb1f80f04bd62289ceae30599c776a5b37269106e9d27ac4e0acbe28f4fa9a8',
  ],
  [
    'a name of 101 characters without a place to split it gets a pax header',
    { name: `/${'n'.repeat(100)}` },
    '0ca772e13adac8bd065f121c49b1a6bea9be4d9734f12360ea1795c82a7db01d',
  ],
  [
    'a longer name is split into prefix and name',
    { name: `/${'p'.repeat(120)}/${'q'.repeat(100)}` },
    'fd83914b831df8d7b5e9cbd4f8fa375d54ae2ac21b0f0e9c7dfcea9bab371fc9',
  ],
  [
    'a prefix of 155 characters fits',
    { name: `/${'p'.repeat(154)}/${'q'.repeat(100)}` },
    '6c8f2a26330ab5ecae0caba4694561c2841ea12081cf1fece23963b1f4b2ffc2',
  ],
  [
    'a prefix of 156 characters does not',
    { name: `/${'p'.repeat(155)}/q` },
    '7494d8639b417e895e1711d5a3323442a1456ae842555789cba5237928583cf4',
  ],
  [
    'a name that is not ASCII gets a pax header',
    { name: utf8('/naïve/日本語') },
    '85617f705488774dd818bdfa5a95541f4493366e1a15dac6f686000e4a679d61',
  ],
  [
    'a name that would be cut behind a slash loses the slash',
    { name: utf8(`/${'a'.repeat(98)}/${'é'.repeat(80)}x`) },
    '84691893acf61375b44cc35540803a3ef0a569655295d2733cc5e8617d76f119',
  ],
  [
    'a long link target gets a pax header',
    { type: 'symlink', linkName: 't'.repeat(101) },
    '5f65b931ce0737b431ed9ceeaf64d924b8ade30f62e634d7b412248a7a917480',
  ],
  [
    'a size below 8 GiB fits',
    { size: 8 ** 11 - 1 },
    'e64610fba02c5129b40cfe252d97adec91fa6c3efcca6e93c91a2e69410ee683',
  ],
  [
    'a size of 8 GiB gets a pax header',
    { size: 8 ** 11 },
    'cedab90f002a0f2538d62c19959f9973c54b5e0437927a7c6c3cb1c7cd333e34',
  ],
  [
    'ids that do not fit get a pax header, with a path that could be split',
    { uid: 8 ** 7, gid: 8 ** 7, name: `/${'p'.repeat(90)}/${'q'.repeat(90)}` },
    '68f1531b31662572d51df19d55cf2f81bb5866e8c9b5b4b7d5ae0362cd76251d',
  ],
  [
    'long names of owners get a pax header',
    { uname: 'u'.repeat(33), gname: 'ü' },
    '793a8ade0b3fbed77fb892986a56cc185c623a946a3f86ff04fc0bd513440e5b',
  ],
]

test.each(HEADERS)('%s', (_, fields, sha256) => {
  expect(
    createHash('sha256')
      .update(goHeader({ ...FILE, ...fields }))
      .digest('hex'),
  ).toBe(sha256)
})
