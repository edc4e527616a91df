import { execFileSync } from 'node:child_process'
import { linkSync } from 'node:fs'
import {
  chmod,
  lstat,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { hasCode } from '../../../../lib/error-code.ts'
import { type EntryRoom, roomFor } from '../../../../shim/import/image/size-limit.ts'
import { ROOT, type StorePathLayer } from '../../../../shim/import/image/store-image.ts'
import { createLinker } from '../../../../shim/import/link/linker.ts'

/** A folder in place of the store, and one in place of a snapshot's. */
async function makeFolders() {
  const dir = await mkdtemp(join(tmpdir(), 'linker-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const [store, folder] = [join(dir, 'store'), join(dir, 'folder')]
  await mkdir(join(store, 'path'), { recursive: true })
  await mkdir(folder)
  return { store, folder, path: join(store, 'path') }
}

/** Gives everything the time that Nix gives to build results. */
async function age(path: string): Promise<void> {
  const stats = await lstat(path)
  if (stats.isDirectory()) for (const name of await readdir(path)) await age(join(path, name))
  if (stats.isSymbolicLink()) await lutimes(path, 1, 1)
  else await utimes(path, 1, 1)
}

interface Wanted extends Partial<StorePathLayer> {
  readonly kind?: 'link' | 'copy'
  readonly signal?: AbortSignal
  readonly threads?: number
  readonly entryRoom?: EntryRoom
}

async function fill(
  { store, folder }: { store: string; folder: string },
  { kind = 'link', signal, threads, entryRoom = roomFor(1e6, 1e9), ...layer }: Wanted = {},
) {
  const linker = createLinker({ kind, how: '', store, folder, close: async () => {} }, threads)
  const whole = { paths: ['/nix/store/path'], owner: ROOT, mtime: 1, rootMode: 0o755, ...layer }
  const [filled] = linker.fill([{ files: whole, name: '0', size: 0 }], {
    entryRoom,
    signal: signal ?? new AbortController().signal,
  })
  return await Promise.resolve(filled).finally(() => linker.close())
}

/** Counts the threads that are started from now on. */
function countThreads(): () => number {
  const started = new Set<number>()
  const onWorker = (worker: Worker) => started.add(worker.threadId)
  process.on('worker', onWorker)
  onTestFinished(() => void process.off('worker', onWorker))
  return () => started.size
}

test('files and symlinks are linked, and folders are made like those of the store', async () => {
  const folders = await makeFolders()
  await mkdir(join(folders.path, 'sub'))
  await writeFile(join(folders.path, 'sub/file'), 'text')
  await symlink('sub/file', join(folders.path, 'link'))
  await age(folders.path)
  await chmod(join(folders.path, 'sub'), 0o555)
  expect(await fill(folders)).toEqual({ linked: 2, copied: 0, copiedBytes: 0, folders: 2, whiteouts: 0 })
  const made = join(folders.folder, '0/nix/store/path')
  expect((await lstat(join(made, 'sub/file'))).ino).toBe((await lstat(join(folders.path, 'sub/file'))).ino)
  expect(await readlink(join(made, 'link'))).toBe('sub/file')
  expect(await lstat(join(made, 'sub'))).toMatchObject({ mtimeMs: 1000, mode: 0o40555 })
  expect(await lstat(join(folders.folder, '0/nix'))).toMatchObject({ mtimeMs: 1000, mode: 0o40755 })
})

test.each([
  ['time', { mtime: 7 }],
  ['owner', { owner: { uid: 5, gid: 6, uname: 'five', gname: 'six' } }],
  ['way', { kind: 'copy' as const }],
])('a file is copied if a link would have the wrong attributes: another %s', async (_what, wanted) => {
  const folders = await makeFolders()
  await writeFile(join(folders.path, 'file'), 'text')
  await chmod(join(folders.path, 'file'), 0o4755)
  await symlink('file', join(folders.path, 'link'))
  await age(folders.path)
  expect(await fill(folders, wanted)).toMatchObject({ linked: 0, copied: 2 })
  const { owner = ROOT, mtime = 1 } = wanted as Partial<StorePathLayer>
  const expected = { uid: owner.uid, gid: owner.gid, mtimeMs: mtime * 1000 }
  expect(await lstat(join(folders.folder, '0/nix/store/path/file'))).toMatchObject({ ...expected, mode: 0o104755 })
  expect(await lstat(join(folders.folder, '0/nix/store/path/link'))).toMatchObject(expected)
  expect(await lstat(join(folders.folder, '0/nix/store/path'))).toMatchObject(expected)
})

test('many folders are distributed to threads, and each is complete', async () => {
  const folders = await makeFolders()
  // Enough files at the top for threads to start, and enough folders below for them to share.
  for (let n = 0; n < 1000; n += 1) await writeFile(join(folders.path, `file-${n}`), '')
  for (let n = 0; n < 40; n += 1) {
    await mkdir(join(folders.path, `${n}/deeper`), { recursive: true })
    for (let m = 0; m < 30; m += 1) await writeFile(join(folders.path, `${n}/deeper/${m}`), '')
  }
  await age(folders.path)
  const started = countThreads()
  expect(await fill(folders, { threads: 2 })).toEqual({
    linked: 2200,
    copied: 0,
    copiedBytes: 0,
    folders: 81,
    whiteouts: 0,
  })
  expect(started()).toBe(2)
  const times = await Promise.all(
    Array.from({ length: 40 }, async (_, n) => (await lstat(join(folders.folder, `0/nix/store/path/${n}`))).mtimeMs),
  )
  expect(new Set(times)).toEqual(new Set([1000]))
})

test('a name that is not UTF-8 is kept', async () => {
  const folders = await makeFolders()
  await writeFile(Buffer.concat([Buffer.from(`${folders.path}/`), Buffer.from([0x61, 0xff])]), 'odd')
  await age(join(folders.store, 'path')).catch(() => utimes(folders.path, 1, 1))
  await fill(folders)
  const names = await readdir(join(folders.folder, '0/nix/store/path'), { encoding: 'buffer' })
  expect(names).toEqual([Buffer.from([0x61, 0xff])])
})

test('a file that cannot have more links is copied', async () => {
  const folders = await makeFolders()
  const file = join(folders.path, 'file')
  await writeFile(file, 'text')
  await age(folders.path)
  const links = join(folders.store, 'links')
  await mkdir(links)
  const isFull = fillUp(file, links)
  expect(await fill(folders)).toMatchObject(isFull ? { linked: 0, copied: 1 } : { linked: 1, copied: 0 })
})

/** ext4 allows 65,000 links; some file systems allow any number. */
function fillUp(file: string, folder: string): boolean {
  try {
    for (let n = 0; n < 66_000; n += 1) linkSync(file, join(folder, `${n}`))
    return false
  } catch (error) {
    if (hasCode(error, 'EMLINK')) return true
    throw error
  }
}

test('a sparse file of 8 GiB is linked like any other', async () => {
  const folders = await makeFolders()
  await makeSparse(folders.path, 8 * 1024 ** 3)
  await fill(folders)
  expect(await lstat(join(folders.folder, '0/nix/store/path/sparse'))).toMatchObject({ size: 8 * 1024 ** 3, nlink: 2 })
})

test('a copy of a sparse file has its holes too', async () => {
  const folders = await makeFolders()
  await makeSparse(folders.path, 64 * 1024 ** 2)
  await fill(folders, { kind: 'copy' })
  const { size, blocks } = await lstat(join(folders.folder, '0/nix/store/path/sparse'))
  expect(size).toBe(64 * 1024 ** 2)
  expect(blocks * 512).toBeLessThan(4 * 1024 ** 2)
})

async function makeSparse(folder: string, size: number): Promise<void> {
  await writeFile(join(folder, 'sparse'), 'begins')
  await truncate(join(folder, 'sparse'), size)
  await age(folder)
}

test('an entry that is neither file, folder nor symlink is rejected', async () => {
  const folders = await makeFolders()
  execFileSync('mkfifo', [join(folders.path, 'fifo')])
  await age(folders.path)
  await expect(fill(folders)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})

test('nothing is filled after the signal has aborted', async () => {
  const folders = await makeFolders()
  await expect(fill(folders, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
})

test('threads stop when the signal aborts', async () => {
  const folders = await makeFolders()
  for (let n = 0; n < 200; n += 1) {
    await mkdir(join(folders.path, `${n}`))
    for (let m = 0; m < 30; m += 1) await writeFile(join(folders.path, `${n}/${m}`), '')
  }
  await age(folders.path)
  const controller = new AbortController()
  const stop = () => controller.abort(new Error('gone'))
  process.once('worker', stop)
  onTestFinished(() => void process.off('worker', stop))
  await expect(fill(folders, { signal: controller.signal, threads: 1 })).rejects.toThrow('gone')
  expect((await readdir(join(folders.folder, '0/nix/store/path'))).length).toBeLessThan(200)
})

test('a path that is too long in the target folder is a final error that names it', async () => {
  const folders = await makeFolders()
  // Made step by step, since the target, whose path is longer, cannot take such a path in one call.
  let deep = folders.path
  while (deep.length < 4_070 - 100) deep = join(deep, 'd'.repeat(90))
  await mkdir(deep, { recursive: true })
  await writeFile(join(deep, 'f'.repeat(4_090 - deep.length)), '')
  await expect(fill(folders)).rejects.toMatchObject({ code: 'ArchiveInvalid' })
})
