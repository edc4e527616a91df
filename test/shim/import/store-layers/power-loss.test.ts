import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import * as v from 'valibot'
import { expect, test, vi } from 'vitest'
import { PATIENT } from '../../../patience.ts'
import { IMAGES } from './images.ts'
import { startStoreNode } from './store-node.ts'

const run = promisify(execFile)

/** A disk in a file: data that has not been written to it would be lost with the power. */
async function openDisk() {
  const folder = await mkdtemp(join(tmpdir(), 'enbi-disk-'))
  const [file, mounted] = [join(folder, 'disk'), join(folder, 'mounted')]
  const copies: string[] = []
  await run('truncate', ['--size', '256M', file])
  await run('mkfs.ext4', ['-q', '-m', '0', file])
  await mkdir(mounted)
  // Nothing is written before a sync.
  await run('mount', ['-o', 'loop,commit=600', file, mounted])
  await run('chmod', ['755', folder, mounted])
  return {
    mounted,
    /** Mounts a copy of the current disk; returns where. */
    async losePower(): Promise<string> {
      // Each copy is another file: a process that has cloned the mount namespace may still hold the mount of an earlier copy. Then
      // a mount of the same file would show what it held before, as Linux uses the loop device and its cached file system again.
      const copy = `${file}-${copies.length}`
      const found = join(folder, `copy-${copies.length}`)
      copies.push(found)
      // A copy of a disk that changes meanwhile would be inconsistent.
      do await run('cp', ['--sparse=always', file, copy])
      while (!(await areEqual(file, copy)))
      await mkdir(found)
      await run('mount', ['-o', 'loop', copy, found])
      return found
    },
    async [Symbol.asyncDispose]() {
      for (const path of [...copies, mounted]) await run('umount', ['--lazy', path]).catch(() => {})
      await rm(folder, { recursive: true, force: true })
    },
  }
}

test('every file of a present image survives a loss of power, whether linked or copied', async () => {
  await using disk = await openDisk()
  vi.stubEnv('TMPDIR', disk.mounted)
  await using node = await startStoreNode(IMAGES)
  vi.unstubAllEnvs()
  for (const name of ['small', 'owned']) {
    const { committed } = await node.snapshots()
    await node.pull(name)
    const found = await disk.losePower()
    const snapshots = join(node.bed.containerdRoot, 'io.containerd.snapshotter.v1.overlayfs/snapshots')
    // containerd's garbage collection removes the folders of views.
    const names = await vi.waitFor(async () => {
      const names = (await node.snapshots()).committed
      expect(await readdir(snapshots)).toHaveLength(names.length)
      return names
    }, PATIENT)
    expect(names.length).toBeGreaterThan(committed.length)
    const after = join(found, relative(disk.mounted, snapshots))
    expect(await changes(snapshots, after)).toEqual([])
    await run('umount', [found])
  }
})

async function areEqual(file: string, copy: string): Promise<boolean> {
  const { code } = await run('cmp', ['--silent', file, copy]).then(
    () => ({ code: 0 }),
    error => v.parse(v.object({ code: v.literal(1) }), error),
  )
  return code === 0
}

/** Files that the copy of a folder lacks, or has with other content. */
async function changes(folder: string, copy: string): Promise<string[]> {
  const options = ['--recursive', '--brief', '--no-dereference']
  const { stdout } = await run('diff', [...options, folder, copy]).catch(error => v.parse(withOutput, error))
  return stdout.split('\n').filter(line => line !== '' && !line.startsWith(`Only in ${copy}`))
}

const withOutput = v.object({ stdout: v.string(), code: v.literal(1) })
