import { lstatSync, mkdirSync, readFileSync, readlinkSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { STORE_DIR } from '../../../../recipes/store-path.ts'
import { roomFor } from '../../../../shim/import/image/size-limit.ts'
import { CURRENT_FORM, type MergedPath } from '../../../../shim/import/image/store-image.ts'
import { fillMergedLayer } from '../../../../shim/import/link/fill-merged.ts'
import '../../../lanes/needs-root.ts'

const makeStore = () => mkdtempDisposable(join(realpathSync(tmpdir()), 'fill-merged-'))

function makeApp(store: string, name: string): string {
  const path = join(store, name)
  mkdirSync(join(path, 'bin'), { recursive: true, mode: 0o755 })
  writeFileSync(join(path, 'bin', 'a'), 'aaa', { mode: 0o555 })
  return path
}

const moved = (path: string, repl: string): MergedPath => ({ path, rewrite: { regex: `^${path}`, repl }, perms: [] })

function fill(folder: string, paths: readonly MergedPath[]) {
  // Leads from the store's name back to the same path.
  const store = folder.slice(0, STORE_DIR.length)
  const view = { kind: 'link', how: '', store, folder, close: async () => {} } as const
  return fillMergedLayer({ paths, form: CURRENT_FORM }, { name: 'new', paths: view, entryRoom: roomFor(100, 1e6) })
}

it('makes folders and files with the owners, modes and times of the layer', async () => {
  await using store = await makeStore()
  const app = makeApp(store.path, 'app')
  symlinkSync('a', join(app, 'bin', 'link'))
  const perms = [{ regex: 'bin', mode: '2711', uid: 12, gid: 34, uname: '', gname: '' }]
  expect(await fill(store.path, [{ ...moved(app, '/opt'), perms }])).toMatchObject({ copied: 2, whiteouts: 0 })
  const bin = join(store.path, 'new/opt/bin')
  expect(readFileSync(join(bin, 'a'), 'utf8')).toBe('aaa')
  expect(readlinkSync(join(bin, 'link'))).toBe('a')
  for (const path of [bin, join(bin, 'a')]) {
    const { mode, uid, gid, mtimeMs } = lstatSync(path)
    expect([mode & 0o7777, uid, gid, mtimeMs]).toEqual([0o2711, 12, 34, 1000])
  }
  expect(lstatSync(join(bin, 'link'))).toMatchObject({ uid: 12, gid: 34, mtimeMs: 1000 })
  expect(lstatSync(join(store.path, 'new/opt')).mtimeMs).toBe(1000)
})

it('rejects a relative place that is the absolute place of another file', async () => {
  await using store = await makeStore()
  const paths = [moved(makeApp(store.path, 'one'), '/o'), moved(makeApp(store.path, 'two'), 'o')]
  await expect(fill(store.path, paths)).rejects.toThrow('two files at "/o"')
})
