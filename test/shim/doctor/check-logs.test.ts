import { chmod, mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkLogs } from '../../../shim/doctor/check-logs.ts'
import '../../lanes/needs-root.ts'

const signal = AbortSignal.timeout(60_000)

describe('the folder of run logs', () => {
  it.each<[string, (path: string) => Promise<unknown>, object]>([
    [
      'is reported with the room for logs',
      path => mkdir(path, { mode: 0o750 }),
      { outcome: 'ok', text: expect.stringMatching(/logs; logs of builds take at most \d/) },
    ],
    [
      'is fine if it can be created',
      async () => {},
      { outcome: 'ok', text: expect.stringContaining('does not exist yet: the shim creates it') },
    ],
    [
      'is reported if others can write to it, with the folder that is used instead',
      async path => {
        await mkdir(path)
        await chmod(path, 0o777)
      },
      {
        outcome: 'warning',
        text: expect.stringMatching(/by other users \(mode 777\): logs of builds are in \/state\/logs$/),
        wayOut: expect.stringMatching(/^run chmod go-w .*, or set logDir$/),
      },
    ],
    [
      'is reported if everybody can open it',
      path => mkdir(path, { mode: 0o755 }),
      {
        outcome: 'warning',
        text: expect.stringContaining('(mode 755)'),
        wayOut: expect.stringContaining('chmod o-rwx'),
      },
    ],
    [
      'is reported if something else is in its place',
      path => writeFile(path, ''),
      { outcome: 'warning', text: expect.stringContaining('is not a folder'), wayOut: 'remove it, or set logDir' },
    ],
  ])('%s', async (_what, prepare, found) => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'enbi-doctor-'))
    const logDir = join(dir.path, 'logs')
    await prepare(logDir)
    expect(await checkLogs({ logDir, stateDir: '/state' }).look(signal)).toEqual(found)
  })

  it('is reported if it cannot be created', async () => {
    expect(await checkLogs({ logDir: '/dev/null/logs', stateDir: '/state' }).look(signal)).toMatchObject({
      outcome: 'warning',
      text: expect.stringContaining('/dev/null/logs cannot be used, so logs of builds are in /state/logs'),
      wayOut: 'create /dev/null/logs as root, or set logDir',
    })
  })
})
