import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type BigIntStats, lstatSync, mkdirSync, renameSync, unlinkSync } from 'node:fs'
import net, { type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { hasCode, ignoreMissing } from '../error-code.ts'
import { FinalError } from '../errors.ts'
import { withSocketLock } from './socket-lock.ts'

/** Owner and group read and write. */
const SOCKET_UMASK = 0o117
/** `sun_path` of unix(7), without the closing zero byte. */
const PATH_LIMIT_BYTES = 107
/** A live server accepts a connection immediately. A server that does not answer is alive, too. */
const CONNECT_LIMIT_MS = 1000

/**
 * Listens at `path` with mode 0660. Replaces a socket file without a server; throws ListenAddressInUse if there is one. The returned
 * function removes the file again, unless it belongs to a successor by then.
 */
export async function listenAtPath(server: Server, path: string): Promise<() => Promise<void>> {
  // Bound under another name first: node unlinks the bound name when it closes, even if it belongs to a successor by then.
  const bound = join(dirname(path), `.${randomBytes(4).toString('hex')}`)
  for (const name of [path, bound]) checkLength(name)
  mkdirSync(dirname(path), { recursive: true })
  const own = await withSocketLock(path, async () => {
    await refuseLive(path)
    await bind(server, bound)
    const stats = lstatSync(bound, { bigint: true })
    renameSync(bound, path)
    return stats
  })
  return () => withSocketLock(path, async () => removeOwn(path, own)).catch(ignoreMissing)
}

function checkLength(path: string): void {
  if (Buffer.byteLength(path) <= PATH_LIMIT_BYTES) return
  throw new FinalError('ConfigInvalid', `the socket path may have ${PATH_LIMIT_BYTES} bytes at most: ${path}`)
}

async function refuseLive(path: string): Promise<void> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isSocket()) throw new FinalError('ListenAddressInUse', `${path} exists and is not a socket`)
  if (await isServed(path)) throw new FinalError('ListenAddressInUse', `another process serves ${path}`)
}

async function isServed(path: string): Promise<boolean> {
  const socket = net.connect(path)
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_LIMIT_MS) })
    return true
  } catch (error) {
    return !hasCode(error, 'ECONNREFUSED', 'ENOENT')
  } finally {
    socket.destroy()
  }
}

async function bind(server: Server, path: string): Promise<void> {
  const listening = once(server, 'listening')
  // Binding happens within the call: nothing else runs under this umask.
  const umask = process.umask(SOCKET_UMASK)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await listening
}

function removeOwn(path: string, own: BigIntStats): void {
  const current = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (current?.dev === own.dev && current.ino === own.ino) unlinkSync(path)
}
