import { mkdtempDisposable, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
