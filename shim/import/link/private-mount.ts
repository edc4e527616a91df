import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable, Writable } from 'node:stream'

/** A mount that no other process sees. */
export interface PrivateMount {
  /** Valid in this process, including its threads. */
  readonly path: string
  close(): Promise<void>
}

const START_LIMIT_MS = 5_000

/** The paths are arguments, not a part of the script. */
const HOLD = 'mount --bind "$1" "$2" && echo ready && exec cat'

/**
 * Binds a mount point, without mounts below it, to a new folder in a mount namespace of its own, which needs a small process for a
 * moment. The open descriptor stays valid when process, namespace and folder are gone, so a killed process leaves nothing behind.
 * The folder's name begins with `prefix`. Throws if that is not permitted, or if a program is missing.
 */
export async function openPrivateMount(source: string, prefix: string): Promise<PrivateMount> {
  await mkdir(dirname(prefix), { recursive: true, mode: 0o700 })
  const folder = await mkdtemp(`${prefix}-`)
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', source, folder]
  const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  try {
    await untilReady(holder)
    const opened = openSync(`/proc/${holder.pid}/root${folder}`, constants.O_RDONLY | constants.O_DIRECTORY)
    return { path: `/proc/self/fd/${opened}`, close: async () => closeSync(opened) }
  } finally {
    await end(holder)
    await rmdir(folder)
  }
}

type Holder = ChildProcessByStdio<Writable, Readable, Readable>

async function untilReady(holder: Holder): Promise<void> {
  const complaints: string[] = []
  holder.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text))
  const signal = AbortSignal.timeout(START_LIMIT_MS)
  const ended = once(holder, 'exit', { signal }).then(() => {
    throw new Error(complaints.join('').trim() || 'unshare and mount failed')
  })
  const ready = once(holder.stdout, 'data', { signal })
  await Promise.race([ready, ended])
  ended.catch(() => {})
}

/** Also ends a process that does not get ready: it may hang in a mount. */
async function end(holder: Holder): Promise<void> {
  holder.stdin.on('error', () => {}).end()
  if (holder.pid === undefined || holder.exitCode !== null || holder.signalCode !== null) return
  holder.kill('SIGKILL')
  await once(holder, 'exit')
}
