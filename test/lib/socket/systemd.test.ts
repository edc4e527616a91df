import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { ListenTarget } from '../../../lib/socket/listen.ts'
import { notifySystemd, takeListenTarget } from '../../../lib/socket/systemd.ts'
import { tempFolder } from '../../shim/proxy/start-proxy.ts'

const OWN = { path: '/run/own.sock' }

test.each<[string, NodeJS.ProcessEnv, ListenTarget]>([
  ['a socket for us', { LISTEN_PID: String(process.pid), LISTEN_FDS: '1', LISTEN_FDNAMES: 'shim' }, { fd: 3 }],
  ['the first of several', { LISTEN_PID: String(process.pid), LISTEN_FDS: '2' }, { fd: 3 }],
  ['sockets for another process', { LISTEN_PID: '1', LISTEN_FDS: '1' }, OWN],
  ['no socket', { LISTEN_PID: String(process.pid), LISTEN_FDS: '0' }, OWN],
  ['nonsense', { LISTEN_PID: String(process.pid), LISTEN_FDS: 'x' }, OWN],
  ['nothing', {}, OWN],
])('systemd hands over %s, and no child process sees it', (_what, env, expected) => {
  const own = { ...env, PATH: '/bin' }
  expect(takeListenTarget(own, OWN.path)).toEqual(expected)
  expect(own).toEqual({ PATH: '/bin' })
})

test('systemd is notified through systemd-notify', async () => {
  await using folder = await tempFolder()
  const told = join(folder.dir, 'told')
  // The real one needs a systemd to talk to; what matters here is how it is called.
  await writeFile(join(folder.dir, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${told}\n`)
  await chmod(join(folder.dir, 'systemd-notify'), 0o755)
  const env = { NOTIFY_SOCKET: '/run/notify', PATH: `${folder.dir}:/bin:/usr/bin` }
  const log = collectLog()
  await notifySystemd('READY=1', { env, logger: log.logger })
  await notifySystemd('STOPPING=1', { env, logger: log.logger })
  expect(await readFile(told, 'utf8')).toBe('/run/notify READY=1\n/run/notify STOPPING=1\n')
  expect(log.lines()).toEqual([])
})

test('without NOTIFY_SOCKET nothing is run; a missing program is logged once, and a program that fails is logged each time', async () => {
  await using folder = await tempFolder()
  const log = collectLog()
  const missing = { NOTIFY_SOCKET: '/run/notify', PATH: folder.dir }
  await notifySystemd('READY=1', { env: { PATH: folder.dir }, logger: log.logger })
  expect(log.lines()).toEqual([])
  await notifySystemd('READY=1', { env: missing, logger: log.logger })
  await notifySystemd('STOPPING=1', { env: missing, logger: log.logger })
  expect(log.lines()).toEqual([expect.stringContaining('systemd-notify is not on the PATH')])

  await writeFile(join(folder.dir, 'systemd-notify'), '#!/bin/sh\nexit 1\n')
  await chmod(join(folder.dir, 'systemd-notify'), 0o755)
  await notifySystemd('READY=1', { env: missing, logger: log.logger })
  expect(log.lines().slice(1)).toEqual([expect.stringContaining('notifying systemd failed')])
})

function collectLog() {
  const output = new PassThrough({ encoding: 'utf8' })
  let text = ''
  output.on('data', (chunk: string) => {
    text += chunk
  })
  return { logger: pino(output), lines: () => text.split('\n').filter(line => line !== '') }
}
