import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { StoredBlob } from '../../../../shim/import/image/parsed-image.ts'
import { openDigestCache } from '../../../../shim/import/store-layers/digest-cache.ts'
import '../../../lanes/needs-root.ts'

const DIGEST: StoredBlob = { digest: `sha256:${'a'.repeat(64)}`, size: 10 }
const OTHER: StoredBlob = { digest: `sha256:${'b'.repeat(64)}`, size: 11 }

test('a remembered digest is known after the folder is opened again', async () => {
  const folder = await makeFolder()
  await openDigestCache(folder).remember('key', DIGEST)
  expect(await openDigestCache(folder).recall('key')).toEqual(DIGEST)
  expect(await openDigestCache(folder).recall('other key')).toBeUndefined()
})

test('a remembered number is known after the folder is opened again', async () => {
  const folder = await makeFolder()
  await openDigestCache(folder).rememberNumber('key', 7, DIGEST)
  expect(await openDigestCache(folder).recallNumber('key')).toBe(7)
  expect(await openDigestCache(folder).recallNumber('other key')).toBeUndefined()
})

test('an entry of version 0.1 is still known', async () => {
  const folder = await makeFolder()
  await mkdir(folder, { mode: 0o700 })
  const [name, check] = ['key', `key ${DIGEST.digest} 10`].map(text => createHash('sha256').update(text).digest('hex'))
  await writeFile(join(folder, `${name}.json`), JSON.stringify({ ...DIGEST, check }), { mode: 0o600 })
  expect(await openDigestCache(folder).recall('key')).toEqual(DIGEST)
  expect(await openDigestCache(folder).recallNumber('key')).toBe(10)
})

test('the latest digest counts', async () => {
  const cache = openDigestCache(await makeFolder())
  await cache.remember('key', DIGEST)
  await cache.remember('key', OTHER)
  expect(await cache.recall('key')).toEqual(OTHER)
})

test('an image that has other layers each time does not fill the disk', async () => {
  const folder = await makeFolder()
  for (const key of ['one', 'two', 'three', 'four', 'five', 'six'])
    await openDigestCache(folder, 4).remember(key, DIGEST)
  expect(await readdir(folder)).toHaveLength(4)
  expect(await openDigestCache(folder).recall('six')).toEqual(DIGEST)
  expect(await openDigestCache(folder).recall('one')).toBeUndefined()
})

test.each([
  ['cut short', (text: string) => text.slice(0, -5)],
  ['empty', () => ''],
  ['changed in its digest', (text: string) => text.replace('aaaa', 'aaab')],
  ['changed in its size', (text: string) => text.replace('"size":10', '"size":11')],
  ['not JSON', () => 'rubbish'],
])('an entry that is %s is ignored, and written again', async (_how, damage) => {
  const { folder, cache, entry } = await makeEntry()
  await writeFile(entry, damage(await readFile(entry, 'utf8')))
  expect(await cache.recall('key')).toBeUndefined()
  await cache.remember('key', DIGEST)
  expect(await openDigestCache(folder).recall('key')).toEqual(DIGEST)
})

test('an entry under the name of another is ignored', async () => {
  const { folder, cache, entry } = await makeEntry()
  await cache.remember('other key', OTHER)
  const other = (await readdir(folder)).map(name => join(folder, name)).find(path => path !== entry) ?? ''
  await writeFile(entry, await readFile(other))
  expect(await cache.recall('key')).toBeUndefined()
})

describe('an entry is ignored if another user could have written it:', () => {
  test.each<[string, (entry: string, folder: string) => Promise<void>]>([
    ['the file is of another user', entry => chown(entry, 1, 0)],
    ['the file may be written by its group', entry => chmod(entry, 0o620)],
    ['the folder is of another user', (_, folder) => chown(folder, 1, 0)],
    ['the folder may be written by all', (_, folder) => chmod(folder, 0o702)],
    [
      'the folder is a link',
      async (_, folder) => {
        await rename(folder, `${folder}-real`)
        await symlink(`${folder}-real`, folder)
      },
    ],
    [
      'the file is a link',
      async entry => {
        await rename(entry, `${entry}-real`)
        await symlink(`${entry}-real`, entry)
      },
    ],
  ])('%s', async (_what, change) => {
    const { folder, cache, entry } = await makeEntry()
    await change(entry, folder)
    expect(await cache.recall('key')).toBeUndefined()
  })
})

test('many writers leave whole entries and nothing else', async () => {
  const folder = await makeFolder()
  const writers = Array.from({ length: 50 }, (_, n) =>
    openDigestCache(folder).remember('key', n % 2 === 0 ? DIGEST : OTHER),
  )
  await Promise.all(writers)
  expect([DIGEST, OTHER]).toContainEqual(await openDigestCache(folder).recall('key'))
  expect(await readdir(folder)).toHaveLength(1)
})

async function makeEntry() {
  const folder = await makeFolder()
  const cache = openDigestCache(folder)
  await cache.remember('key', DIGEST)
  const [name = ''] = await readdir(folder)
  return { folder, cache, entry: join(folder, name) }
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'digest-cache-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'digests')
}
