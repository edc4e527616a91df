import type { Readable } from 'node:stream'
import { execa } from 'execa'
import { RetryableError } from '../errors.ts'
import type { BuildUser } from './build-user.ts'
import { readLines } from './lines.ts'

export interface NixRun {
  readonly command: string
  readonly args: readonly string[]
  readonly user: BuildUser
  /** Ends nix and everything that it started. */
  readonly signal: AbortSignal
  /** Told of each line of standard error, one at a time: nix waits when this takes long. */
  readonly onLine: (line: string) => Promise<void> | void
}

interface Subprocess {
  readonly pid?: number | undefined
  readonly stdout: Readable
  readonly stderr: Readable
  once(event: 'exit', listener: () => void): unknown
}

export interface NixExit {
  /** Cut at a limit; the exit code is missing then. */
  readonly stdout: string
  readonly exitCode: number | undefined
  /** The signal that ended it. */
  readonly killedBy: string | undefined
}

/** Nix answers with one JSON document; the names of a big flake's packages make the longest. In characters. */
const MAX_STDOUT_LENGTH = 4 * 1024 * 1024

/** Longest line of standard error that is read, in characters. A longer one is cut. */
const MAX_LINE_LENGTH = 256 * 1024

/** Nix gets this long to end its builders after SIGTERM, before SIGKILL. */
const TERMINATE_LIMIT_MS = 5_000

/** A grandchild may hold standard error open after nix has gone: that is not waited for any longer. */
const DRAIN_LIMIT_MS = 2_000

/** Runs nix to its end, in a process group of its own. Throws NixMissing; how nix ended is for the caller to judge. */
export async function runNix({ command, args, user, signal, onLine }: NixRun): Promise<NixExit> {
  const child = execa(command, args, {
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.gid === undefined ? {} : { gid: user.gid }),
    env: user.env,
    extendEnv: false,
    cwd: user.home,
    stdin: 'ignore',
    buffer: { stdout: true, stderr: false },
    maxBuffer: { stdout: MAX_STDOUT_LENGTH },
    detached: true,
    reject: false,
  })
  const stopWatching = endGroupOnAbort(child.pid, signal)
  const stopSweeping = sweepAfterExit(child)
  try {
    const [result] = await Promise.all([child, forwardLines(child, onLine)])
    if (child.pid === undefined) throw missing(command, result)
    const { stdout, exitCode, signal: killedBy } = result
    return { stdout, exitCode: result.isMaxBuffer ? undefined : exitCode, killedBy }
  } finally {
    stopWatching()
    stopSweeping()
  }
}

function missing(command: string, cause: unknown): RetryableError {
  const text = `cannot run ${JSON.stringify(command)} on this node: install Nix, or set nix.command in the config`
  return new RetryableError('NixMissing', text, { cause })
}

async function forwardLines(child: Subprocess, onLine: NixRun['onLine']): Promise<void> {
  try {
    for await (const line of readLines(child.stderr, MAX_LINE_LENGTH)) await onLine(line)
  } catch (error) {
    // The sweep has closed the stream.
    if (!child.stderr.destroyed) throw error
  }
}

/** Nix ends its builders itself when it is asked to. */
function endGroupOnAbort(pid: number | undefined, signal: AbortSignal): () => void {
  if (pid === undefined) return () => {}
  let timer: NodeJS.Timeout | undefined
  const end = () => {
    signalGroup(pid, 'SIGTERM')
    timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), TERMINATE_LIMIT_MS)
  }
  if (signal.aborted) end()
  else signal.addEventListener('abort', end, { once: true })
  return () => {
    signal.removeEventListener('abort', end)
    clearTimeout(timer)
  }
}

/** What outlives nix is of no use, and must not keep us waiting at its ends of the pipes. */
function sweepAfterExit(child: Subprocess): () => void {
  let timer: NodeJS.Timeout | undefined
  child.once('exit', () => {
    if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
    timer = setTimeout(() => {
      child.stdout.destroy()
      child.stderr.destroy()
    }, DRAIN_LIMIT_MS)
  })
  return () => clearTimeout(timer)
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended already.
  }
}
