export interface NixSettings {
  /** Longest time of a build from its start, evaluation included. */
  readonly timeoutMs: number
  /** Most that the values of an evaluation may take, in bytes. */
  readonly maxEvalMemory: number
  /** Settings of nix.conf(5), from our config. */
  readonly options: Readonly<Record<string, string>>
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
