/**
 * The arguments of every nix command, after its own. `options`: settings of nix.conf(5), from our config; those that
 * keep a flake from doing more than it may come last and win.
 */
export function nixFlags(options: Readonly<Record<string, string>>): string[] {
  return [
    ...Object.entries(options).flatMap(([name, value]) => ['--option', name, value]),
    ...['--extra-experimental-features', 'nix-command flakes'],
    ...['--log-format', 'internal-json'],
    '--no-write-lock-file',
    ...['--option', 'accept-flake-config', 'false'],
    ...['--option', 'pure-eval', 'true'],
    // It remembers failures too, those of the network among them.
    ...['--option', 'eval-cache', 'false'],
  ]
}
