import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type LayerDigest, openDigestCache } from '../../../shim/import/layers/digest-cache.ts'
import { ROOT, type StorePathLayer } from '../../../shim/import/layers/layer.ts'

const LAYER: StorePathLayer = {
  paths: ['/nix/store/00000000000000000000000000000000-one', '/nix/store/00000000000000000000000000000000-two'],
  owner: ROOT,
  mtime: 1,
  rootMode: 0o755,
}
const DIGEST: LayerDigest = { diffId: `sha256:${'a'.repeat(64)}`, size: 10 }
const OTHER: LayerDigest = { diffId: `sha256:${'b'.repeat(64)}`, size: 11 }

test('what was remembered is known to whoever opens the folder later', async () => {
  const folder = await makeFolder()
  await openDigestCache(folder).remember('tar', LAYER, DIGEST)
  expect(await openDigestCache(folder).recall('tar', LAYER)).toEqual(DIGEST)
})

test.each<[string, StorePathLayer]>([
  ['paths', { ...LAYER, paths: LAYER.paths.slice(1) }],
  ['order of the paths', { ...LAYER, paths: LAYER.paths.toReversed() }],
  ['time', { ...LAYER, mtime: 2 }],
  ['owner', { ...LAYER, owner: { ...ROOT, uid: 1 } }],
  ["owner's name", { ...LAYER, owner: { ...ROOT, uname: 'nobody' } }],
  ['root mode', { ...LAYER, rootMode: 0o555 }],
])('another %s is another layer', async (_what, layer) => {
  const cache = openDigestCache(await makeFolder())
  await cache.remember('tar', LAYER, DIGEST)
  expect(await cache.recall('tar', layer)).toBeUndefined()
})

test('the digest of the tar and the one of NAR hashes are two', async () => {
  const cache = openDigestCache(await makeFolder())
  await cache.remember('nar', LAYER, DIGEST)
  expect(await cache.recall('tar', LAYER)).toBeUndefined()
})

test('the latest digest counts', async () => {
  const cache = openDigestCache(await makeFolder())
  await cache.remember('tar', LAYER, DIGEST)
  await cache.remember('tar', LAYER, OTHER)
  expect(await cache.recall('tar', LAYER)).toEqual(OTHER)
})

test.each([
  ['cut short', (text: string) => text.slice(0, -5)],
  ['empty', () => ''],
  ['changed in its digest', (text: string) => text.replace('aaaa', 'aaab')],
  ['changed in its size', (text: string) => text.replace('"size":10', '"size":11')],
  ['no JSON', () => 'rubbish'],
])('an entry that is %s counts as none, and is written anew', async (_how, damage) => {
  const folder = await makeFolder()
  const cache = openDigestCache(folder)
  await cache.remember('tar', LAYER, DIGEST)
  const [name = ''] = await readdir(folder)
  await writeFile(join(folder, name), damage(await readFile(join(folder, name), 'utf8')))
  expect(await cache.recall('tar', LAYER)).toBeUndefined()
  await cache.remember('tar', LAYER, DIGEST)
  expect(await cache.recall('tar', LAYER)).toEqual(DIGEST)
})

test("an entry under another's name counts as none", async () => {
  const folder = await makeFolder()
  const cache = openDigestCache(folder)
  await cache.remember('tar', LAYER, DIGEST)
  const [name = ''] = await readdir(folder)
  await cache.remember('nar', LAYER, OTHER)
  const other = (await readdir(folder)).find(entry => entry !== name) ?? ''
  await writeFile(join(folder, name), await readFile(join(folder, other)))
  expect(await cache.recall('tar', LAYER)).toBeUndefined()
})

test('many writers leave whole entries and nothing else', async () => {
  const folder = await makeFolder()
  const writers = Array.from({ length: 50 }, (_, n) =>
    openDigestCache(folder).remember('tar', LAYER, n % 2 === 0 ? DIGEST : OTHER),
  )
  await Promise.all(writers)
  expect([DIGEST, OTHER]).toContainEqual(await openDigestCache(folder).recall('tar', LAYER))
  expect(await readdir(folder)).toHaveLength(1)
})

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'digest-cache-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'digests')
}
