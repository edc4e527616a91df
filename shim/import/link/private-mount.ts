import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rmdir } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { messageOf } from '../../errors.ts'

/** A mount that no other process has to see. */
export interface PrivateMount {
  /** Leads to it from this process. */
  readonly path: string
  close(): Promise<void>
}

const START_LIMIT_MS = 5_000

/** The paths are arguments: no text of the shell's. */
const HOLD = 'mount --bind "$1" "$2" && echo ready && exec cat'

/**
 * Binds a mount point, without what is mounted below it, to a folder in a mount namespace of its own. A small process
 * holds that, and ends with this one: its input is closed then. Through /proc its files can be reached, and linked with
 * one another, from here. Throws when that is not permitted, or a program is missing.
 */
export async function openPrivateMount(source: string, folder: string): Promise<PrivateMount> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', source, folder]
  const holder = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  try {
    await untilReady(holder)
  } catch (error) {
    await end(holder, folder)
    throw error
  }
  return { path: `/proc/${holder.pid}/root${folder}`, close: () => end(holder, folder) }
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

async function end(holder: Holder, folder: string): Promise<void> {
  holder.stdin.on('error', () => {}).end()
  if (holder.pid !== undefined && holder.exitCode === null && holder.signalCode === null) {
    holder.kill('SIGKILL')
    await once(holder, 'exit').catch(() => {})
  }
  await rmdir(folder).catch(error => {
    throw new Error(`the folder of a mount cannot be removed: ${messageOf(error)}`, { cause: error })
  })
}
