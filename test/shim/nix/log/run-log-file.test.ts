import {
  chmod,
  mkdir,
  mkdtempDisposable,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createRunId, openRunLog } from '../../../../shim/nix/log/run-log-file.ts'
import { PATIENT } from '../../../patience.ts'

const logger = pino({ level: 'silent' })
const makeDir = () => mkdtempDisposable(join(tmpdir(), 'run-log-'))

test('run ids sort by time and contain a hash of the namespace', () => {
  const [one = '', two = '', other = ''] = ['team', 'team', 'other'].map(namespace =>
    createRunId(new Date('2026-01-31T23:59:59.999Z'), [namespace]),
  )
  // 80 bits, so that no other name with the same hash can be found.
  expect(one).toMatch(/^20260131T235959Z-[0-9a-f]{20}-[0-9a-f]{8}$/)
  expect(two).not.toBe(one)
  const account = (id: string) => id.split('-')[1]
  expect(account(two)).toBe(account(one))
  expect(account(other)).not.toBe(account(one))
})

test('a run log contains every line in order', async () => {
  await using dir = await makeDir()
  const log = openRunLog(dir.path, 'run', logger)
  const lines = Array.from({ length: 5_000 }, (_, index) => `line ${index}`)
  for (const line of lines) await log.write(line)
  await log.close()
  expect(await readFile(join(dir.path, 'run.log'), 'utf8')).toBe(`${lines.join('\n')}\n`)
})

test('an endless log is rotated and keeps its last part', async () => {
  await using dir = await makeDir()
  const log = openRunLog(dir.path, 'run', logger)
  const line = 'x'.repeat(100_000)
  for (let count = 0; count < 450; count += 1) await log.write(line)
  await log.write('the end')
  await log.close()
  expect((await readdir(dir.path)).sort()).toEqual(['run.log', 'run.log.1'])
  expect((await stat(join(dir.path, 'run.log.1'))).size).toBeLessThan(17_000_000)
  expect(await readFile(join(dir.path, 'run.log'), 'utf8')).toMatch(/\nthe end\n$/)
})

test('a log that cannot be written does not block the run', async () => {
  const log = openRunLog('/dev/null/nowhere', 'run', logger)
  for (let count = 0; count < 1_000; count += 1) await log.write('x'.repeat(1_000))
  await log.close()
})

test('a log that is removed is made again, and says how many lines are missing', async () => {
  await using dir = await makeDir()
  const folder = join(dir.path, 'logs')
  const log = openRunLog(folder, 'run', logger)
  const read = () => readFile(join(folder, 'run.log'), 'utf8').catch(() => '')
  await log.write('before')
  await expect.poll(read, PATIENT).toBe('before\n')
  await rm(folder, { recursive: true })
  await log.write('again')
  await expect.poll(read, PATIENT).toMatch(/^… 1 line is missing here[^\n]*\nagain\n$/)
  await rm(join(folder, 'run.log'))
  await log.write('and again')
  await log.close()
  expect(await read()).toMatch(/^… 2 lines are missing here[^\n]*\nand again\n$/)
})

test('a log that cannot be written, and is then removed, says how many lines are missing', async () => {
  await using dir = await makeDir()
  const folder = join(dir.path, 'logs')
  const read = () => readFile(join(folder, 'run.log'), 'utf8').catch(() => '')
  const warnings: string[] = []
  const listening = pino({}, { write: line => void warnings.push(line) })
  const log = openRunLog(folder, 'run', listening, { retryMs: 600_000 })
  for (const line of ['one', 'two']) await log.write(line)
  await expect.poll(read, PATIENT).toBe('one\ntwo\n')
  await rm(folder, { recursive: true })
  await writeFile(folder, 'in its place')
  await log.write('three')
  await expect.poll(() => warnings, PATIENT).toHaveLength(1)
  await rm(folder)
  await log.write('four')
  await log.close()
  expect(await read()).toMatch(/^… 3 lines are missing here[^\n]*\nfour\n$/)
  expect(warnings).toHaveLength(1)
})

test('lines of the part before count as there, if only the last part is removed', async () => {
  await using dir = await makeDir()
  const log = openRunLog(dir.path, 'run', logger)
  const line = 'x'.repeat(1_000_000)
  for (let count = 0; count < 17; count += 1) await log.write(line)
  await expect.poll(() => readdir(dir.path), PATIENT).toContain('run.log.1')
  await rm(join(dir.path, 'run.log'))
  await log.write('again')
  await log.close()
  expect(await readFile(join(dir.path, 'run.log'), 'utf8')).toMatch(/^… [1-9] lines? (is|are) missing here/)
})

test('a log that failed is tried once more when it closes', async () => {
  await using dir = await makeDir()
  const folder = join(dir.path, 'logs')
  const failed = Promise.withResolvers<void>()
  await writeFile(folder, 'in its place')
  const log = openRunLog(folder, 'run', pino({}, { write: () => failed.resolve() }))
  await log.write('a line')
  await failed.promise
  await rm(folder)
  await log.write('the end')
  await log.close()
  expect(await readFile(join(folder, 'run.log'), 'utf8')).toMatch(/the end\n$/)
})

test('a secret is masked', async () => {
  await using dir = await makeDir()
  const log = openRunLog(dir.path, 'run', logger)
  await log.write('git clone https://me:secret@git.example/app')
  await log.close()
  expect(await readFile(join(dir.path, 'run.log'), 'utf8')).toBe('git clone https://…@git.example/app\n')
})

test('only its group may read a log, and no symlink is followed, whatever another process puts there', async () => {
  await using dir = await makeDir()
  const [target, folder] = [join(dir.path, 'target'), join(dir.path, 'logs')]
  await writeFile(target, 'as it was')
  await mkdir(folder)
  await symlink(target, join(folder, 'linked.log'))
  const linked = openRunLog(folder, 'linked', logger)
  await linked.write('a line')
  await linked.close()
  expect(await readFile(target, 'utf8')).toBe('as it was')

  const log = openRunLog(folder, 'run', logger)
  await log.write('before')
  await expect.poll(() => readdir(folder)).toContain('run.log')
  expect((await stat(join(folder, 'run.log'))).mode & 0o777).toBe(0o640)
  // The folder is replaced by a link to another one.
  await rename(folder, `${folder}-moved`)
  await mkdir(join(dir.path, 'other'))
  await symlink(join(dir.path, 'other'), folder)
  for (let count = 0; count < 200; count += 1) await log.write('x'.repeat(100_000))
  await log.close()
  expect(await readdir(join(dir.path, 'other'))).toEqual([])
  expect((await readdir(`${folder}-moved`)).sort()).toEqual(['linked.log', 'run.log', 'run.log.1'])
  const next = openRunLog(folder, 'next', logger)
  await next.write('a line')
  await next.close()
  expect(await readdir(join(dir.path, 'other'))).toEqual([])
})

test('nothing is written to a folder that other users can write to', async () => {
  await using dir = await makeDir()
  await chmod(dir.path, 0o777)
  const log = openRunLog(dir.path, 'run', logger)
  await log.write('a line')
  await log.close()
  expect(await readdir(dir.path)).toEqual([])
})
