import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtempDisposable, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkLogs, judgeRoom } from '../../../shim/doctor/check-logs.ts'
import '../../lanes/needs-root.ts'
import { writeProcess } from './write-process.ts'

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
    expect(await checkLogs({ logDir, stateDir: '/state' }, dir.path).look(signal)).toEqual(found)
  })

  it('is reported if it cannot be created', async () => {
    await using proc = await mkdtempDisposable(join(tmpdir(), 'enbi-doctor-'))
    const check = checkLogs({ logDir: '/dev/null/logs', stateDir: '/state' }, proc.path)
    expect(await check.look(signal)).toMatchObject({
      outcome: 'warning',
      text: expect.stringContaining('/dev/null/logs cannot be used, so logs of builds are in /state/logs'),
      wayOut: 'create /dev/null/logs as root, or set logDir',
    })
  })

  describe('with a service that sees another mount, which is read-only', () => {
    async function look(logDir: string, dir: string) {
      const proc = join(dir, 'proc')
      const inOwnMounts = [
        '--mount',
        '--',
        'sh',
        '-c',
        'mount -t tmpfs -o ro tmpfs "$1" && echo ready && exec cat',
        'sh',
      ]
      const service = spawn('unshare', [...inOwnMounts, dir], { stdio: ['pipe', 'pipe', 'inherit'] })
      await once(service.stdout, 'data')
      await writeProcess(proc, { pid: 9, args: ['node', '/opt/dist/shim/main.js', 'serve'] })
      await symlink(`/proc/${service.pid}/mountinfo`, join(proc, '9/mountinfo'))
      const found = await checkLogs({ logDir, stateDir: '/state' }, proc).look(signal)
      service.stdin.end()
      await once(service, 'exit')
      return found
    }

    it.each<[string, (path: string) => Promise<unknown>]>([
      ['is reported', path => mkdir(path, { mode: 0o750 })],
      ['is reported if it is missing', async () => {}],
    ])('%s', async (_, prepare) => {
      await using dir = await mkdtempDisposable(join(tmpdir(), 'enbi-doctor-'))
      const logDir = join(dir.path, 'logs')
      await prepare(logDir)
      expect(await look(logDir, dir.path)).toMatchObject({
        outcome: 'warning',
        text: `the service may not write to ${logDir}, so logs of builds are in /state/logs`,
        wayOut: expect.stringMatching(/^restart the service; /),
      })
    })

    it('is reported for what it is, if something else is in its place', async () => {
      await using dir = await mkdtempDisposable(join(tmpdir(), 'enbi-doctor-'))
      const logDir = join(dir.path, 'logs')
      await symlink('/srv', logDir)
      expect(await look(logDir, dir.path)).toMatchObject({ text: expect.stringContaining('is a symlink') })
    })
  })

  const [MIB, MOST] = [2 ** 20, 2 ** 30]
  it.each([
    ['with space for them', { bytes: 64 * MIB, files: 0.02 }, MOST, undefined],
    ['that is small, with space for all that it may take', { bytes: 2 * MIB, files: 1 }, 2 * MIB, undefined],
    [
      'with little space',
      { bytes: 8 * MIB, files: 1 },
      MOST,
      /^\/logs has only 8.* left, so logs of builds may have gaps soon$/,
    ],
    ['with few inodes', { bytes: MOST, files: 0.005 }, MOST, /only 0\.5 % of inodes left/],
    ['with little of both', { bytes: 0, files: 0 }, MOST, /only 0.* and 0\.0 % of inodes left/],
  ])('is judged on a disk %s', (_, room, mostBytes, text) => {
    const found = judgeRoom({ folder: '/logs', share: 1, ...room }, mostBytes)
    expect(found).toEqual(
      text && { outcome: 'warning', text: expect.stringMatching(text), wayOut: expect.stringContaining('set logDir') },
    )
  })
})
