import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { daemonSocket } from '../../../../shim/nix/store/daemon-connection.ts'
import { askDaemon } from '../../../../shim/nix/store/daemon-path-info.ts'
import { parsePathInfo } from '../../../../shim/nix/store/path-info-answer.ts'
import { startBed } from '../../../node/bed.ts'

const MISSING = `/nix/store/${'0'.repeat(32)}-missing`
const QUERY = { recursive: false, signal: new AbortController().signal }

test.each([
  ['the default', {}, '/nix/var/nix/daemon-socket/socket'],
  ['named by the environment', { NIX_DAEMON_SOCKET_PATH: '/run/nix.sock' }, '/run/nix.sock'],
  ['below another state folder if NIX_STATE_DIR is set', { NIX_STATE_DIR: '/state' }, '/state/daemon-socket/socket'],
  ['the default if NIX_REMOTE is daemon', { NIX_REMOTE: 'daemon' }, '/nix/var/nix/daemon-socket/socket'],
  ['undefined for clients that open the store themselves', { NIX_REMOTE: 'local' }, undefined],
])("the daemon's socket is %s", (_which, env, socket) => {
  expect(daemonSocket(env)).toBe(socket)
})

test('the daemon returns the same about store paths as nix, and leaves out paths that are not valid', async () => {
  await using bed = await startBed({ without: ['containerd'] })
  const add = 'echo one > one; nix store add-file one; mkdir two; echo two > two/file; nix store add-path two'
  const paths = (await bed.run('sh', ['-euc', add])).stdout.trim().split('\n')
  const infos = await askDaemon(bed.nixDaemonSocket, [...paths, MISSING], QUERY)
  const { stdout } = await bed.run('nix', ['path-info', '--json', ...paths])
  expect(infos).toHaveLength(2)
  expect(infos.toSorted((one, other) => one.path.localeCompare(other.path))).toEqual(
    (await parsePathInfo(stdout))
      .map(({ path, narHash, narSize, references }) => ({ path, narHash, narSize, references }))
      .toSorted((one, other) => one.path.localeCompare(other.path)),
  )
})

/** Greeting of a daemon: who it is, and that it is ready. */
const GREETING = [0x6478696fn, 0x115n, 0x616c7473n]
const READY = 0x616c7473n
const EMPTY = 0n

test.each([
  ['is not a Nix daemon', Buffer.from('rubbish, and more of it'), 'not a Nix daemon'],
  ['speaks another protocol', words(0x6478696fn, 0x215n), 'speaks version 2.21'],
  ['answers with an error', words(...GREETING, 0x63787470n, 8n, 0x21212121_21212121n), 'says: !!!!!!!!'],
  ['sends an unknown message', words(...GREETING, 4711n), 'something unknown'],
  ['closes the connection', words(...GREETING, READY, 1n), 'closed the connection'],
  ['sends a string without end', words(...GREETING, READY, 1n, 1n << 40n), 'a string of 1099511627776 bytes'],
  ['sends a list without end', words(...GREETING, READY, 1n, EMPTY, EMPTY, 1n << 40n), 'a list of 1099511627776'],
])('a server that %s is an error', async (_what, answer, words) => {
  const dir = await mkdtemp(join(tmpdir(), 'daemon-'))
  const socket = join(dir, 'socket')
  const server = createServer(client => client.on('error', () => {}).end(answer)).listen(socket)
  onTestFinished(async () => {
    server.close()
    await rm(dir, { recursive: true })
  })
  await once(server, 'listening')
  await expect(askDaemon(socket, [MISSING], QUERY)).rejects.toThrow(words)
})

function words(...numbers: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * numbers.length)
  for (const [index, number] of numbers.entries()) bytes.writeBigUInt64LE(number, 8 * index)
  return bytes
}

test.each([
  ['too many references', 'reference', 200],
  ['too long names', 'x'.repeat(211), 40],
])('a closure with %s is read only up to the limit', async (_what, name, most) => {
  const dir = await mkdtemp(join(tmpdir(), 'daemon-'))
  const socket = join(dir, 'socket')
  const answer = wideAnswer(name)
  let answered = 0
  const server = createServer(client => {
    client.on('error', () => {}).write(words(...GREETING))
    const answerNext = () => {
      answered += 1
      if (!client.destroyed && answered <= REFERENCES) client.write(answer, answerNext)
    }
    answerNext()
  }).listen(socket)
  onTestFinished(async () => {
    server.close()
    await rm(dir, { recursive: true })
  })
  await once(server, 'listening')
  await expect(askDaemon(socket, [MISSING], { ...QUERY, recursive: true })).rejects.toMatchObject({
    code: 'NotAnImage',
  })
  expect(answered).toBeLessThan(most)
})

const REFERENCES = 1000

/** Answer of a daemon about a path with many references. */
function wideAnswer(name: string): Buffer {
  const references = Array.from({ length: REFERENCES }, (_, index) =>
    text(`/nix/store/${String(index).padStart(32, '0')}-${name}`),
  )
  const [empty, size] = [words(EMPTY), words(1n)]
  const facts = [
    empty,
    text('0'.repeat(64)),
    words(BigInt(REFERENCES)),
    ...references,
    empty,
    size,
    empty,
    empty,
    empty,
  ]
  return Buffer.concat([words(READY, 1n), ...facts])
}

function text(value: string): Buffer {
  const padding = Buffer.alloc((8 - (value.length % 8)) % 8)
  return Buffer.concat([words(BigInt(value.length)), Buffer.from(value), padding])
}

test('a socket without a daemon is an error', async () => {
  await expect(askDaemon('/no/such/socket', [MISSING], QUERY)).rejects.toThrow('ENOENT')
})
