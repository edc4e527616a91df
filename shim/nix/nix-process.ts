import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { paced } from '../../lib/async/paced.ts'
import { hasCode } from '../../lib/error-code.ts'
import { RetryableError } from '../../lib/errors.ts'
import { signalGroup } from '../../lib/process/process-group.ts'
import { readLines } from '../../lib/text/lines.ts'
import type { BuildUser } from './user/build-user.ts'

export interface NixRun {
  readonly command: string
  readonly args: readonly string[]
  readonly user: BuildUser
  /** Ends nix and everything that it started. */
  readonly signal: AbortSignal
  /** Told of each line of standard error, one at a time: nix waits when this takes long. */
  readonly onLine: (line: string) => Promise<void> | void
  /** In characters. */
  readonly maxStdoutLength?: number
  readonly onGroup?: ((group: number, kind: 'began' | 'ended') => void) | undefined
}

export interface NixExit {
  /** Cut at a limit; the exit code is missing then. */
  readonly stdout: string
  readonly exitCode: number | undefined
  /** The signal that ended it. */
  readonly killedBy: string | undefined
}

/** Nix answers with one JSON document; the names of a big flake's packages make the longest. In characters. */
const MAX_STDOUT_LENGTH = 1024 * 1024

/** Longest line of standard error that is read, in characters. A longer one is cut. */
const MAX_LINE_LENGTH = 256 * 1024

/** More than any log needs; a builder that writes without end is held up, and leaves the processors to others. */
const PACE = { bytesPerSecond: 4 * 1024 * 1024, burstBytes: 16 * 1024 * 1024 }

/** Nix gets this long to end its builders after SIGTERM, before SIGKILL. */
const TERMINATE_LIMIT_MS = 5_000

/** A grandchild may hold standard error open after nix has gone: that is not waited for any longer. */
const DRAIN_LIMIT_MS = 2_000

/**
 * Runs nix to its end, in a process group of its own. Throws NixMissing; how nix ended is for the caller to judge.
 * (Node's own spawn: execa alone would take a quarter of the memory that the shim may have at rest.)
 */
export async function runNix(run: NixRun): Promise<NixExit> {
  const { command, args, user, signal, onLine, onGroup = () => {}, maxStdoutLength = MAX_STDOUT_LENGTH } = run
  const child = spawn(command, args, {
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.gid === undefined ? {} : { gid: user.gid }),
    env: user.env,
    cwd: user.home,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  child.on('error', () => {}) // who waits for the end is told
  const ended = waitForEnd(child, command)
  const stopWatching = endGroupOnAbort(child.pid, signal)
  const stopSweeping = sweepAfterExit(child)
  if (child.pid !== undefined) onGroup(child.pid, 'began')
  try {
    const [{ exitCode, killedBy }, stdout] = await Promise.all([
      ended,
      collect(child, maxStdoutLength),
      forwardLines(child, onLine),
    ])
    return { stdout: stdout ?? '', exitCode: stdout === undefined ? undefined : exitCode, killedBy }
  } finally {
    stopWatching()
    stopSweeping()
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      signalGroup(child.pid, 'SIGKILL')
    if (child.pid !== undefined) onGroup(child.pid, 'ended')
  }
}

type Subprocess = ChildProcessByStdio<null, Readable, Readable>

async function waitForEnd(child: Subprocess, command: string): Promise<Pick<NixExit, 'exitCode' | 'killedBy'>> {
  try {
    const [exitCode, killedBy] = await once(child, 'exit')
    return { exitCode: exitCode ?? undefined, killedBy: killedBy ?? undefined }
  } catch (cause) {
    const text = `cannot run ${JSON.stringify(command)} on this node: install Nix, or set nix.command in the config`
    throw new RetryableError('NixMissing', text, { cause })
  }
}

/** Standard output, or undefined when it is too long. Reads it to its end anyway: nix must not wait for us. */
async function collect(child: Subprocess, maxLength: number): Promise<string | undefined> {
  const decoder = new TextDecoder()
  let text = ''
  await untilClosed(child.stdout, async chunks => {
    for await (const chunk of chunks) if (text.length <= maxLength) text += decoder.decode(chunk, { stream: true })
  })
  return text.length > maxLength ? undefined : text
}

function forwardLines(child: Subprocess, onLine: NixRun['onLine']): Promise<void> {
  return untilClosed(child.stderr, async chunks => {
    for await (const line of readLines(paced(chunks, PACE), MAX_LINE_LENGTH)) await onLine(line)
  })
}

/** That the sweep has closed the stream is no failure. */
async function untilClosed(stream: Readable, read: (chunks: Readable) => Promise<void>): Promise<void> {
  try {
    await read(stream)
  } catch (error) {
    if (!hasCode(error, 'ERR_STREAM_PREMATURE_CLOSE')) throw error
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
