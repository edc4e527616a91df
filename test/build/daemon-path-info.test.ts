import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { askDaemon, daemonSocket } from '../../shim/build/daemon-path-info.ts'
import { readPathInfo } from '../../shim/build/path-info-answer.ts'
import { startBed } from '../node/bed.ts'

const MISSING = `/nix/store/${'0'.repeat(32)}-missing`

test.each([
  ['the default', {}, '/nix/var/nix/daemon-socket/socket'],
  ['the one that the environment names', { NIX_DAEMON_SOCKET_PATH: '/run/nix.sock' }, '/run/nix.sock'],
  ['below another state folder', { NIX_STATE_DIR: '/state' }, '/state/daemon-socket/socket'],
  ['wanted by name', { NIX_REMOTE: 'daemon' }, '/nix/var/nix/daemon-socket/socket'],
  ['none for who opens the store itself', { NIX_REMOTE: 'local' }, undefined],
])("the daemon's socket is %s", (_which, env, socket) => {
  expect(daemonSocket(env)).toBe(socket)
})

test('the daemon says of store paths what nix says, and leaves out what is not valid', async () => {
  await using bed = await startBed({ without: ['containerd'] })
  const add = 'echo one > one; nix store add-file one; mkdir two; echo two > two/file; nix store add-path two'
  const paths = (await bed.run('sh', ['-euc', add])).stdout.trim().split('\n')
  const signal = new AbortController().signal
  const infos = await askDaemon(bed.nixDaemonSocket, [...paths, MISSING], signal)
  const { stdout } = await bed.run('nix', ['path-info', '--json', ...paths])
  expect(infos).toHaveLength(2)
  expect(infos.toSorted((one, other) => one.path.localeCompare(other.path))).toEqual(
    readPathInfo(stdout)
      .map(({ path, narHash, narSize, references }) => ({ path, narHash, narSize, references }))
      .toSorted((one, other) => one.path.localeCompare(other.path)),
  )
})

test('who is no daemon, or none, is an error', async () => {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  const signal = new AbortController().signal
  await expect(askDaemon(join(bed.dir, 'nobody.sock'), [MISSING], signal)).rejects.toThrow('ENOENT')
  const socket = join(bed.dir, 'rubbish.sock')
  const server = createServer(client => client.on('error', () => {}).end('rubbish, and more of it')).listen(socket)
  onTestFinished(() => void server.close())
  await expect(askDaemon(socket, [MISSING], signal)).rejects.toThrow('no Nix daemon')
})
