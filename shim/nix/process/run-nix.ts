import { paced } from '../../../lib/async/paced.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { type ProcessEnd, runProcess } from '../../../lib/process/run-process.ts'
import { readLines } from '../../../lib/text/lines.ts'
import { type BuildUser, idsOf } from '../user/build-user.ts'

export interface NixSettings {
  /** Time limit of a build from its start, including evaluation. */
  readonly timeoutMs: number
  /** Memory limit for the values of an evaluation, in bytes. */
  readonly maxEvalMemory: number
  /** Settings of nix.conf(5) from the shim's config. */
  readonly options: Readonly<Record<string, string>>
}

export interface NixOptions extends NixSettings {
  /** A name on PATH or an absolute path. */
  readonly command: string
  /** How long a run waits in total for an absent Nix daemon, in milliseconds. */
  readonly daemonWaitMs?: number | undefined
}

/** Called when a nix has started as the leader of this process group, and when it has ended. */
export type OnGroup = (group: number, kind: 'began' | 'ended') => void

export interface NixRun {
  readonly command: string
  readonly args: readonly string[]
  readonly user: BuildUser
  /** Ends nix and everything that it started. */
  readonly signal: AbortSignal
  /** Called with each line of standard error, one at a time: nix waits while this takes long. */
  readonly onLine: (line: string) => Promise<void> | void
  /** In characters. */
  readonly maxStdoutLength?: number
  readonly onGroup?: OnGroup | undefined
}

/** In characters. A longer line of standard error is truncated. */
const MAX_LINE_LENGTH = 256 * 1024

/** More than any log needs. A builder that writes endlessly is slowed down, so that it does not use up the processors. */
const PACE = { bytesPerSecond: 4 * 1024 * 1024, burstBytes: 16 * 1024 * 1024 }

/** Runs nix in its own process group. Throws NixMissing; the caller decides what the exit code means. */
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

/** Arguments of nix commands that read no flake. */
export function nixBaseFlags({ options }: Pick<NixSettings, 'options'>): string[] {
  return [
    ...Object.entries(options).flatMap(([name, value]) => ['--option', name, value]),
    ...['--extra-experimental-features', 'nix-command flakes'],
    ...['--log-format', 'internal-json'],
  ]
}

/**
 * Arguments at the end of nix commands. The config may override nix.conf. Restrictions of flakes come last, so that nothing
 * overrides them.
 */
export function nixFlags({ timeoutMs, options }: Omit<NixSettings, 'maxEvalMemory'>): string[] {
  return [
    // Also ends nix if the shim was killed.
    ...['--option', 'timeout', String(Math.ceil(timeoutMs / 1000))],
    ...nixBaseFlags({ options }),
    // Inputs must come from flake.lock: a locked flake stands for one content. With `--no-write-lock-file` added, nix would ignore
    // this flag (2.8 to 2.34); this flag alone also prevents writing.
    '--no-update-lock-file',
    ...['--option', 'accept-flake-config', 'false'],
    ...['--option', 'pure-eval', 'true'],
    // The cache would also remember failures, including those of the network.
    ...['--option', 'eval-cache', 'false'],
  ]
}
