import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import http2 from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { listen } from '../../../lib/socket/listen.ts'
import { tempFolder } from '../../shim/proxy/start-proxy.ts'

const run = promisify(execFile)
const stack = { value: new AsyncDisposableStack() }

let dir: string
let path: string

beforeEach(async () => {
  dir = stack.value.use(await tempFolder()).dir
  path = join(dir, 'run/shim.sock')
})

afterEach(async () => {
  await stack.value.disposeAsync()
  stack.value = new AsyncDisposableStack()
})

test('the socket file has mode 0660 whatever the umask is, and its folder is created', async () => {
  const umask = process.umask(0)
  stack.value.defer(() => void process.umask(umask))
  await serve(path)
  expect((await lstat(path)).mode & 0o7777).toBe(0o660)
  expect(process.umask()).toBe(0)
})

test('the socket file is the only file in its folder, and is gone after the end', async () => {
  const server = await serve(path)
  expect(await readdir(join(dir, 'run'))).toEqual(['shim.sock'])
  await server.stop()
  expect(await readdir(join(dir, 'run'))).toEqual([])
})

test('a socket file that a dead process left is replaced', async () => {
  await leaveStale(path)
  await serve(path)
  expect(await isServed(path)).toBe(true)
})

test('a socket that another process serves is not replaced', async () => {
  await serve(path)
  await expect(serve(path)).rejects.toMatchObject({ code: 'ListenAddressInUse', retryable: false })
  expect(await isServed(path)).toBe(true)
})

test.each<[string, (path: string) => Promise<unknown>]>([
  ['a file', path => writeFile(path, 'precious')],
  ['a folder', path => mkdir(path)],
  ['a link', path => symlink('/nowhere', path)],
])('a file that is not a socket is not replaced: %s', async (_what, make) => {
  await mkdir(join(dir, 'run'))
  await make(path)
  await expect(serve(path)).rejects.toMatchObject({ code: 'ListenAddressInUse' })
  await lstat(path)
})

test('of many servers that start concurrently over a stale file exactly one serves, and keeps the socket', async () => {
  await leaveStale(path)
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => serve(path)))
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(await isServed(path)).toBe(true)
})

test("a server that ends late does not remove its successor's socket", async () => {
  const first = await serve(path)
  await rm(path)
  await serve(path)
  await first.stop()
  expect(await isServed(path)).toBe(true)
})

test('a lock that a dead process left is removed after a while', async () => {
  await mkdir(`${path}.lock`, { recursive: true })
  const before = new Date(Date.now() - 60_000)
  await utimes(`${path}.lock`, before, before)
  await serve(path)
  expect(await isServed(path)).toBe(true)
})

describe('the error names an address that cannot be used', () => {
  test('if the path is too long for a socket address', async () => {
    const long = join(dir, 'x'.repeat(100))
    await expect(serve(long)).rejects.toMatchObject({ code: 'ConfigInvalid', message: expect.stringContaining(long) })
  })

  test('if its folder is a file', async () => {
    await writeFile(join(dir, 'run'), '')
    await expect(serve(path)).rejects.toMatchObject({ code: 'ConfigInvalid', message: expect.stringContaining(path) })
  })
})

test('a socket that is already open is taken over by its descriptor', async () => {
  // Only a process that inherits a listening socket has one: perl makes it, as systemd would, and becomes node.
  const inherited = `
    use Socket; use POSIX ();
    $^F = 9; # what is opened below that number is inherited
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die $!; listen($s, 9) or die;
    POSIX::dup2(fileno($s), 3);
    @ENV{'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'} = (1, $$, 'shim'); exec @ARGV[1 .. $#ARGV];`
  const script = `
    import { createServer } from 'node:http2'
    import { connect } from 'node:net'
    import { listen } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/socket/listen.ts'))}
    import { takeListenTarget } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/socket/systemd.ts'))}
    const target = takeListenTarget(process.env, '/dev/null')
    const listening = await listen(createServer(), target)
    await new Promise(resolve => connect(process.argv[1], function () { this.end(resolve) }))
    await listening.stop()
    await listening.closed
    console.log(JSON.stringify({ target, left: Object.keys(process.env).filter(name => name.startsWith('LISTEN_')) }))`
  const socket = join(dir, 'activated.sock')
  const node = [process.execPath, '--input-type=module', '-e', script, socket]
  const { stdout } = await run('perl', ['-e', inherited, socket, ...node])
  expect(JSON.parse(stdout)).toEqual({ target: { fd: 3 }, left: [] })
  expect((await lstat(socket)).isSocket()).toBe(true)
})

async function serve(at: string) {
  const server = http2.createServer()
  const listening = await listen(server, { path: at })
  const stop = async () => {
    await listening.stop()
    await listening.closed
  }
  stack.value.defer(() => (server.listening ? stop() : undefined))
  return { stop }
}

/** A socket file as SIGKILL leaves it. */
async function leaveStale(at: string): Promise<void> {
  await mkdir(join(dir, 'run'), { recursive: true })
  const bind = 'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die $!;'
  await run('perl', ['-e', bind, at])
  await chmod(at, 0o777)
}

async function isServed(at: string): Promise<boolean> {
  const socket = net.connect(at)
  return once(socket, 'connect')
    .then(() => true)
    .catch(() => false)
    .finally(() => socket.destroy())
}
