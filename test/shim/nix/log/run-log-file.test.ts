import { mkdtempDisposable, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createRunId, openRunLog, pruneRunLogs } from '../../../../shim/nix/log/run-log-file.ts'

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

test('pruning keeps the latest logs, and what is no log', async () => {
  await using dir = await makeDir()
  const names = Array.from({ length: 410 }, (_, index) => `20260101T000${String(index).padStart(3, '0')}Z-00000000.log`)
  for (const name of [...names, `${names[0]}.1`, 'notes.txt']) await writeFile(join(dir.path, name), '')
  await pruneRunLogs(dir.path)
  expect((await readdir(dir.path)).sort()).toEqual([...names.slice(10), 'notes.txt'])
})
