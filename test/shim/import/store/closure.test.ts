import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtempDisposable, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { plainLayer } from '../../../../shim/import/image/store-image.ts'
import { openClosure } from '../../../../shim/import/store/closure.ts'
import { storePathTar } from '../../../../shim/import/tar/store-path-tar.ts'
import { storePathInfo } from '../closure.ts'

/** A store with a path of the closure, and one outside of it. */
async function makeStore() {
  const folder = await mkdtempDisposable(join(tmpdir(), 'enbi-closure-'))
  const [own, foreign] = ['own', 'own.drv.chroot'].map(name => join(folder.path, name))
  for (const path of [own, foreign]) {
    await mkdir(join(path ?? '', 'folder'), { recursive: true })
    await writeFile(join(path ?? '', 'folder/file'), path === own ? 'own' : 'secret')
  }
  return { own: own ?? '', foreign: foreign ?? '', [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

const open = (path: string) => openClosure(path, async () => [storePathInfo(path)])

it('a file that was found stays the same, whatever replaces it at its path', async () => {
  await using store = await makeStore()
  await using found = await (await open(store.own)).find(join(store.own, 'folder/file'))
  await rm(join(store.own, 'folder'), { recursive: true })
  await symlink(join(store.foreign, 'folder'), join(store.own, 'folder'))
  expect(`${await found?.head(100)}`).toBe('own')
})

it.each([
  ['a link', (store: { foreign: string }) => join(store.foreign, 'folder/file')],
  ['a link to a device, which is not even opened', () => '/dev/tty'],
  ['a link to nothing', () => '/nowhere'],
  ['a link in a circle', () => 'link'],
  ['a link out of the store', () => '/etc/passwd'],
])('%s leads to nothing', async (_what, target) => {
  await using store = await makeStore()
  await symlink(target(store), join(store.own, 'link'))
  expect(await (await open(store.own)).find(join(store.own, 'link'))).toBeUndefined()
})

it('a path whose name begins like one of the closure is not found', async () => {
  await using store = await makeStore()
  expect(await (await open(store.own)).find(join(store.foreign, 'folder/file'))).toBeUndefined()
})

it('a file that another mount namespace has at the same path is not found', async () => {
  await using store = await makeStore()
  const folder = join(store.own, 'folder')
  const script = 'mount -t tmpfs tmpfs "$1" && echo secret > "$1/file" && echo ready && exec cat'
  const args = ['--mount', '--', 'sh', '-c', script, 'sh', folder]
  const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  await symlink(`/proc/${holder.pid}/root${folder}/file`, join(store.own, 'link'))
  expect(await readFile(join(store.own, 'link'), 'utf8')).toBe('secret\n')
  expect(await (await open(store.own)).find(join(store.own, 'link'))).toBeUndefined()
  holder.stdin.end()
  await once(holder, 'exit')
})

it('a folder that becomes a link while its layer is read reveals nothing of its target', async () => {
  await using store = await makeStore()
  const read = async () => {
    for (const _ of storePathTar(plainLayer([store.own]))) {
      await rm(join(store.own, 'folder'), { recursive: true, force: true })
      await symlink(join(store.foreign, 'folder'), join(store.own, 'folder')).catch(() => {})
    }
  }
  // More than one chunk, so that the reader can be stopped in the middle.
  for (let n = 0; n < 8; n += 1) await writeFile(join(store.own, `a-${n}`), Buffer.alloc(1024 ** 2))
  await expect(read()).rejects.toMatchObject({ code: 'ImportInterrupted' })
})
