import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { paced } from '../../../lib/async/paced.ts'
import { hasCode } from '../../../lib/error-code.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { signalGroup } from '../../../lib/process/run-process.ts'
import { readLines } from '../../../lib/text/lines.ts'
import type { BuildUser } from '../user/build-user.ts'

export interface NixSettings {
  /** Longest time of a build from its start, evaluation included. */
  readonly timeoutMs: number
  /** Most that the values of an evaluation may take, in bytes. */
  readonly maxEvalMemory: number
  /** Settings of nix.conf(5), from our config. */
  readonly options: Readonly<Record<string, string>>
}

export interface NixOptions extends NixSettings {
  /** A name on PATH or an absolute path. */
  readonly command: string
  /** How long a run waits for a Nix daemon that is away, in milliseconds. */
  readonly daemonWaitMs?: number | undefined
}

/** Called when a nix runs as the leader of this process group, and when it has ended. */
export type OnGroup = (group: number, kind: 'began' | 'ended') => void

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
  readonly onGroup?: OnGroup | undefined
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

/**
 * The arguments of every nix command, after its own. The config may override nix.conf; what keeps a flake from doing more
 * than it may comes last and wins.
 */
export function nixFlags({ timeoutMs, options }: Omit<NixSettings, 'maxEvalMemory'>): string[] {
  return [
    // Holds, too, where nobody is left to end nix: the shim was killed.
    ...['--option', 'timeout', String(Math.ceil(timeoutMs / 1000))],
    ...Object.entries(options).flatMap(([name, value]) => ['--option', name, value]),
    ...['--extra-experimental-features', 'nix-command flakes'],
    ...['--log-format', 'internal-json'],
    // Inputs are what flake.lock says, or none: a locked flake stands for one content. `--no-write-lock-file` beside it would
    // undo it (2.8 to 2.34); nothing is written with this one alone.
    '--no-update-lock-file',
    ...['--option', 'accept-flake-config', 'false'],
    ...['--option', 'pure-eval', 'true'],
    // It remembers failures too, those of the network among them.
    ...['--option', 'eval-cache', 'false'],
  ]
}
