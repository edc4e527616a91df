import { mkdir, mkdtempDisposable, readdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pruneRunLogs } from '../../../../shim/nix/log/prune-run-logs.ts'

const makeDir = () => mkdtempDisposable(join(tmpdir(), 'run-log-'))

/** Nobody has written to it for long. */
async function writeOldLog(...path: readonly string[]): Promise<void> {
  await writeFile(join(...path), '')
  await utimes(join(...path), 0, 0)
}

test('what is not a file, and a folder that cannot be read, keep no logs', async () => {
  await using dir = await makeDir()
  const names = Array.from({ length: 410 }, (_, index) => `20260101T000${String(index).padStart(3, '0')}Z-00000000.log`)
  const [first = '', ...files] = names
  await mkdir(join(dir.path, first))
  for (const name of files) await writeOldLog(dir.path, name)
  await expect(pruneRunLogs(dir.path, '/dev/null/logs')).rejects.toThrow('/dev/null/logs')
  expect((await readdir(dir.path)).sort()).toEqual([first, ...names.slice(10)])
})

test('pruning keeps the latest logs, and what is no log', async () => {
  await using dir = await makeDir()
  const names = Array.from({ length: 410 }, (_, index) => `20260101T000${String(index).padStart(3, '0')}Z-00000000.log`)
  for (const name of [...names, `${names[0]}.1`, 'notes.txt']) await writeOldLog(dir.path, name)
  await pruneRunLogs(dir.path)
  expect((await readdir(dir.path)).sort()).toEqual([...names.slice(10), 'notes.txt'])
})

test('pruning keeps the log of a run that began long ago and still writes', async () => {
  await using dir = await makeDir()
  const names = Array.from({ length: 401 }, (_, index) => `20260101T000${String(index).padStart(3, '0')}Z-00000000.log`)
  for (const name of names) await writeOldLog(dir.path, name)
  const [first = '', second, ...others] = names
  await writeFile(join(dir.path, first), 'a line')
  await pruneRunLogs(dir.path)
  expect(await readdir(dir.path)).not.toContain(second)
  expect((await readdir(dir.path)).sort()).toEqual([first, ...others])
})

test('pruning counts the logs of several folders of a disk together, and a missing folder is empty', async () => {
  await using dir = await makeDir()
  const [old, now] = ['old', 'now'].map(name => join(dir.path, name)) as [string, string]
  for (const [folder, month] of [
    [old, '01'],
    [now, '02'],
  ] as const) {
    await mkdir(folder)
    const names = Array.from(
      { length: 300 },
      (_, index) => `2026${month}01T000${String(index).padStart(3, '0')}Z-00000000.log`,
    )
    for (const name of names) await writeOldLog(folder, name)
  }
  await pruneRunLogs(now, old, join(dir.path, 'missing'))
  expect([(await readdir(old)).length, (await readdir(now)).length]).toEqual([100, 300])
})

test('pruning follows no symlink in place of a folder', async () => {
  await using dir = await makeDir()
  const [real, link] = [join(dir.path, 'real'), join(dir.path, 'link')]
  await mkdir(real)
  await symlink(real, link)
  for (let index = 0; index < 410; index += 1)
    await writeOldLog(real, `20260101T000${String(index).padStart(3, '0')}Z-00000000.log`)
  await expect(pruneRunLogs(link)).rejects.toMatchObject({ code: 'StateDirUnsafe' })
  expect(await readdir(real)).toHaveLength(410)
})

test('more logs than there can be are removed without a comparison', async () => {
  await using dir = await makeDir()
  const hash = (index: number) => index.toString(16).padStart(20, '0')
  for (let index = 0; index < 1200; index += 1)
    await writeFile(join(dir.path, `20260101T00${String(index).padStart(4, '0')}Z-${hash(index)}-00000000.log`), '')
  await pruneRunLogs(dir.path)
  expect(await readdir(dir.path)).toHaveLength(400)
})
