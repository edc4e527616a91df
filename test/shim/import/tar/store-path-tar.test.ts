import { createHash } from 'node:crypto'
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, onTestFinished, test } from 'vitest'
import { ROOT, STORE_MTIME, type StorePathLayer } from '../../../../shim/import/image/store-image.ts'
import { storePathTar } from '../../../../shim/import/tar/store-path-tar.ts'
import { makeOddTree } from '../store/odd-tree.ts'
import { tarfileDigest } from './tarfile-layer.ts'

const makeStore = () => mkdtempDisposable(join(tmpdir(), 'layer-tar-'))

function layerOf(paths: readonly string[], more: Partial<StorePathLayer> = {}): StorePathLayer {
  return { paths, owner: ROOT, mtime: STORE_MTIME, rootMode: 0o755, ...more }
}

function digestOf(chunks: Iterable<Buffer>) {
  const hash = createHash('sha256')
  let size = 0
  for (const chunk of chunks) {
    hash.update(chunk)
    size += chunk.length
  }
  return { diffId: `sha256:${hash.digest('hex')}`, size }
}

test.each([0o755, 0o555])('an odd tree gives the same bytes as tarfile, with the root mode %o', async rootMode => {
  await using store = await makeStore()
  const layer = layerOf(makeOddTree(store.path), { rootMode })
  expect(digestOf(storePathTar(layer))).toEqual(await tarfileDigest(layer, store.path))
})

const LAYERS = {
  'ids that just fit': { owner: { ...ROOT, uid: 2_097_151, gid: 2_097_151 } },
  'an uid that needs a pax record': { owner: { ...ROOT, uid: 3_000_000 } },
  'a gid that needs a pax record': { owner: { ...ROOT, gid: 2_097_152 } },
  'names of 32 characters': { owner: { ...ROOT, uname: 'u'.repeat(32), gname: 'g'.repeat(32) } },
  'names of 33 characters': { owner: { ...ROOT, uname: 'u'.repeat(33), gname: 'g'.repeat(33) } },
  'names beyond ASCII': { owner: { ...ROOT, uname: 'Käthe', gname: '人'.repeat(33) } },
  'names that are empty': { owner: { ...ROOT, uname: '', gname: '' } },
  'a time before 1970': { mtime: -3_600 },
  'a time that just fits': { mtime: 8 ** 11 - 1 },
  'a time that needs a pax record': { mtime: 8 ** 11 },
} satisfies Record<string, Partial<StorePathLayer>>

test.each(Object.entries(LAYERS))('a layer with %s is the same as that of tarfile', async (_, more) => {
  await using store = await makeStore()
  const path = join(store.path, 'package')
  mkdirSync(path)
  writeFileSync(join(path, 'file'), 'content')
  symlinkSync('f'.repeat(150), Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xe9])]))
  const layer = layerOf([path], more)
  expect(digestOf(storePathTar(layer))).toEqual(await tarfileDigest(layer, store.path))
})

test('a layer without paths is the same as that of tarfile', async () => {
  await using store = await makeStore()
  expect(digestOf(storePathTar(layerOf([])))).toEqual(await tarfileDigest(layerOf([]), store.path))
})

/** One chunk and one more file, so that the generator can be stopped before its end. */
const MORE_THAN_A_CHUNK = 3 * 1024 * 1024

test('a file of 8 GiB is read chunk by chunk, and closed when no more is wanted', async () => {
  await using store = await makeStore()
  const path = join(store.path, 'sparse')
  writeFileSync(path, '')
  truncateSync(path, 8 * 1024 ** 3)
  const chunks = storePathTar(layerOf([path]))
  const [first] = chunks
  expect(first?.includes(' size=8589934592\n')).toBe(true)
  expect(first?.length).toBeLessThan(1024 ** 2)
  expect(readdirSync('/proc/self/fd').map(targetOf)).not.toContain(path)
})

/** One descriptor may belong to the listing of the descriptors. */
function targetOf(descriptor: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return undefined
  }
}

test.each([
  'relative',
  '',
  '/',
  '/nix/store/../etc',
  '/nix/store/./x',
  '/nix//store',
  '/nix/store/',
  '/nix/\0',
  '/nix/\ud800',
])('the path %j is rejected', path => {
  expect(() => digestOf(storePathTar(layerOf([path])))).toThrow(expect.objectContaining({ code: 'ArchiveInvalid' }))
})

test('an owner whose name is not Unicode is rejected', () => {
  const owner = { ...ROOT, uname: '\udc80' }
  expect(() => digestOf(storePathTar(layerOf([], { owner })))).toThrow(
    expect.objectContaining({ code: 'ArchiveInvalid' }),
  )
})

test('a pipe in the tree is rejected without blocking', async () => {
  await using store = await makeStore()
  await execa('mkfifo', [join(store.path, 'pipe')])
  expect(() => digestOf(storePathTar(layerOf([store.path])))).toThrow(
    /pipe", which is neither file, folder nor symlink/,
  )
})

test('a socket is rejected as a store path', async () => {
  await using store = await makeStore()
  const path = join(store.path, 'socket')
  const server = createServer()
  await new Promise<void>(resolve => server.listen(path, resolve))
  expect(() => digestOf(storePathTar(layerOf([path])))).toThrow(expect.objectContaining({ code: 'ArchiveInvalid' }))
  server.close()
})

test('a path too long for the system is rejected', async () => {
  const store = await makeStore()
  // Node cannot remove such a tree.
  onTestFinished(async () => void (await execa('rm', ['-rf', store.path])))
  const goDeeper = 'for (let depth = 0; depth < 20; depth++) { fs.mkdirSync(name); process.chdir(name) }'
  await execa(process.execPath, ['-e', `const name = 'd'.repeat(250); ${goDeeper}`], { cwd: store.path })
  expect(() => digestOf(storePathTar(layerOf([store.path])))).toThrow(
    expect.objectContaining({ code: 'ArchiveInvalid', message: expect.stringContaining('too long a path') }),
  )
})

test('a missing store path is a retryable error', async () => {
  await using store = await makeStore()
  const path = join(store.path, 'missing')
  expect(() => digestOf(storePathTar(layerOf([path])))).toThrow(
    expect.objectContaining({ code: 'ImportInterrupted', message: expect.stringContaining(path) }),
  )
})

/** Changes to files after the first chunk of `a` has been read. */
const CHANGES: Record<string, (tree: string) => void> = {
  'a file that grows': tree => appendFileSync(join(tree, 'a'), 'x'),
  'a file that is cut short': tree => truncateSync(join(tree, 'a'), MORE_THAN_A_CHUNK - 1),
  'a file that goes away': tree => rmSync(join(tree, 'b')),
  'a file that becomes a symlink': tree => replace(join(tree, 'b'), path => symlinkSync(join(tree, 'a'), path)),
  'a file that becomes a folder': tree => replace(join(tree, 'b'), path => mkdirSync(path)),
  'a symlink that becomes a file': tree => replace(join(tree, 'c'), path => writeFileSync(path, '')),
  'a folder that goes away': tree => rmSync(join(tree, 'd'), { recursive: true }),
  'a folder that becomes a symlink': tree => replace(join(tree, 'd'), path => symlinkSync('/', path)),
}

function replace(path: string, make: (path: string) => void): void {
  renameSync(path, `${path}.old`)
  make(path)
}

test.each(Object.entries(CHANGES))('%s while the tree is read is a retryable error', async (_, change) => {
  await using store = await makeStore()
  const tree = join(store.path, 'tree')
  mkdirSync(join(tree, 'd/e'), { recursive: true })
  writeFileSync(join(tree, 'a'), Buffer.alloc(MORE_THAN_A_CHUNK))
  writeFileSync(join(tree, 'b'), 'b')
  symlinkSync('b', join(tree, 'c'))
  const chunks = storePathTar(layerOf([tree]))
  chunks.next()
  change(tree)
  expect(() => digestOf(chunks)).toThrow(expect.objectContaining({ code: 'ImportInterrupted' }))
})
