import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { createSourceCaches } from '../../../shim/nix/caches/source-caches.ts'
import { pruneRunLogs } from '../../../shim/nix/log/prune-run-logs.ts'
import { createRunId } from '../../../shim/nix/log/run-log-file.ts'
import { foldersOf, prepareStateDir } from '../../../shim/nix/user/state-dir.ts'

test("the logs of a namespace with hundreds of failing builds do not push out another namespace's log", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'logs-'))
  const log = async (namespaces: string[], minute: number) => {
    const name = `${createRunId(new Date(Date.UTC(2026, 0, 1, 0, minute)), namespaces)}.log`
    await writeFile(join(dir.path, name), '')
    return name
  }
  const modest = await log(['modest'], 0)
  const shared = await log(['greedy', 'other'], 1)
  for (let minute = 2; minute <= 450; minute += 1) await log(['greedy'], minute)
  await pruneRunLogs(dir.path)
  const left = await readdir(dir.path)
  expect(left).toHaveLength(400)
  expect(left).toEqual(expect.arrayContaining([modest, shared]))
})

test("the clones of a namespace with many repositories neither fill the disk nor push out another namespace's clone", async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'clones-'))
  const dir = foldersOf(root.path)
  await prepareStateDir(dir, {})
  const start = () =>
    createSourceCaches({
      dir,
      user: { home: dir.home, env: {} },
      logger: pino({ level: 'silent' }),
      room: async () => ({ count: 10, bytes: 500_000 }),
    })
  let caches = start()
  const clone = (namespace: string, url: string) =>
    caches.use(
      { image: 'registry.example/app:1', flake: parseFlakeUrl(url), packageName: 'app', system: 'x86_64-linux' },
      ownedBy(namespace),
      async ({ env: { XDG_CACHE_HOME = '' } }) => {
        await writeFile(join(XDG_CACHE_HOME, 'pack'), 'x'.repeat(100_000))
        return basename(XDG_CACHE_HOME)
      },
    )
  const modest = await clone('modest', 'git+https://git.example/modest')
  for (let count = 0; count < 6; count += 1) await clone('greedy', `github:greedy/repository-${count}`)
  await caches.settled()
  // A restart keeps the owners of clones.
  caches = start()
  for (let count = 6; count < 12; count += 1) await clone('greedy', `github:greedy/repository-${count}`)
  await caches.settled()
  const left = await readdir(dir.caches)
  expect(left).toContain(modest)
  expect(left.length).toBeLessThanOrEqual(5)
})
