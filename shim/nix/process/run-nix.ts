import { paced } from '../../../lib/async/paced.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { type ProcessEnd, runProcess } from '../../../lib/process/run-process.ts'
import { readLines } from '../../../lib/text/lines.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

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
  /** Called with each line of standard error, one at a time: nix waits when this takes long. */
  readonly onLine: (line: string) => Promise<void> | void
  /** In characters. */
  readonly maxStdoutLength?: number
  readonly onGroup?: OnGroup | undefined
}

/** Longest line of standard error that is read, in characters. A longer one is cut. */
const MAX_LINE_LENGTH = 256 * 1024

/** More than any log needs; a builder that writes without end is held up, and leaves the processors to others. */
const PACE = { bytesPerSecond: 4 * 1024 * 1024, burstBytes: 16 * 1024 * 1024 }

/** Runs nix to its end, in a process group of its own. Throws NixMissing; how nix ended is for the caller to judge. */
export async function runNix({ user, onLine, onGroup, ...run }: NixRun): Promise<ProcessEnd> {
  let group: number | undefined
  try {
    return await runProcess({
      ...run,
      ...idsOf(user),
      env: user.env,
      cwd: user.home,
      async readStderr(chunks) {
        for await (const line of readLines(paced(chunks, PACE), MAX_LINE_LENGTH)) await onLine(line)
      },
      onStart(pid) {
        group = pid
        onGroup?.(pid, 'began')
      },
    })
  } catch (cause) {
    if (group !== undefined) throw cause
    const text = `cannot run ${JSON.stringify(run.command)} on this node: install Nix, or set nix.command in the config`
    throw new RetryableError('NixMissing', text, { cause })
  } finally {
    if (group !== undefined) onGroup?.(group, 'ended')
  }
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
