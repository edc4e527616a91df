import { chmod, mkdtempDisposable, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { createLogFolder } from '../../../../shim/nix/log/log-folder.ts'

it('the folder of run logs is made again, and is the one in the state folder only while that fails', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'log-folder-'))
  const [logDir, stateDir] = [join(dir.path, 'log/shim'), join(dir.path, 'state')]
  const said: string[] = []
  const note = (_facts: unknown, message?: string) => void said.push(message ?? '')
  const logs = createLogFolder({ logDir, stateDir, logger: { warn: note, info: note } })
  expect(await logs.choose()).toBe(logDir)
  await rm(join(dir.path, 'log'), { recursive: true })
  expect(await logs.choose()).toBe(logDir)
  expect((await stat(logDir)).mode & 0o777).toBe(0o750)
  expect(said).toEqual([])

  await rm(logDir, { recursive: true })
  await writeFile(logDir, '')
  expect([await logs.choose(), await logs.choose(), logs.path()]).toEqual(Array(3).fill(join(stateDir, 'logs')))
  await rm(logDir)
  expect([await logs.choose(), logs.path()]).toEqual([logDir, logDir])
  expect(said).toEqual(['cannot use the folder for run logs', 'run logs are in their folder again'])
  expect(logs.all).toEqual([logDir, join(stateDir, 'logs')])
})

/** Prints which folder is chosen. */
const CHOOSE = `
  const { createLogFolder } = await import(process.argv[1])
  const [logDir, stateDir] = process.argv.slice(2)
  const logger = { warn() {}, info() {} }
  console.log(await createLogFolder({ logDir, stateDir, logger }).choose())`
const READ_ONLY =
  'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$0" --input-type=module --eval "$2" "$3" "$1" /state'

it('a folder of run logs on a file system that is read-only is not chosen', async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'log-folder-'))
  await chmod(dir.path, 0o750)
  const program = join(import.meta.dirname, '../../../../shim/nix/log/log-folder.ts')
  const inOwnMounts = ['--mount', 'sh', '-euc', READ_ONLY, process.execPath]
  const { stdout } = await execa('unshare', [...inOwnMounts, dir.path, CHOOSE, program])
  expect(stdout).toBe('/state/logs')
})
