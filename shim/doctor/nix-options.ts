import { type Finding, ok, warning } from './finding.ts'

/** What a daemon takes from trusted users alone, with `extra-` before it, too: it decides how anybody's builds are run, and what is trusted. */
const RESTRICTED: ReadonlySet<string> = new Set([
  ...['allow-new-privileges', 'allowed-impure-host-deps', 'allowed-users', 'auto-allocate-uids', 'auto-optimise-store'],
  ...[
    'build-dir',
    'build-users-group',
    'builders',
    'builders-use-substitutes',
    'diff-hook',
    'extra-platforms',
    'fallback',
  ],
  ...[
    'filter-syscalls',
    'hashed-mirrors',
    'impersonate-linux-26',
    'keep-build-log',
    'keep-derivations',
    'keep-outputs',
  ],
  ...[
    'log-lines',
    'max-build-log-size',
    'max-free',
    'min-free',
    'narinfo-cache-negative-ttl',
    'narinfo-cache-positive-ttl',
  ],
  ...[
    'platforms',
    'post-build-hook',
    'pre-build-hook',
    'require-sigs',
    'run-diff-hook',
    'sandbox',
    'sandbox-build-dir',
  ],
  ...['sandbox-dev-shm-size', 'sandbox-fallback', 'sandbox-paths', 'secret-key-files', 'start-id', 'substituters'],
  ...['system-features', 'trusted-public-keys', 'trusted-substituters', 'trusted-users', 'use-cgroups'],
])

export interface OptionsSeen {
  /** `nix.options` of the config. */
  readonly options: Readonly<Record<string, string>>
  /** Null: the user that runs the shim. */
  readonly user: string | null
  /** Whether the daemon trusts that user; undefined when it does not tell. */
  readonly trusted: boolean | undefined
}

/** Whether the settings of the config have an effect. */
export function judgeOptions({ options, user, trusted }: OptionsSeen): Finding {
  const names = Object.keys(options)
  if (names.length === 0) return ok('nix.options has no settings')
  const restricted = names.filter(name => RESTRICTED.has(name) || RESTRICTED.has(name.replace(/^extra-/, '')))
  if (restricted.length === 0 || trusted === true) return ok(`nix.options has ${names.join(', ')}`)
  const who = user ?? 'the build user'
  const whether = trusted === false ? `and ${who} is none` : `and does not tell whether ${who} is one`
  return warning(
    `nix.options has ${restricted.join(', ')}, which the daemon takes from trusted users alone, ${whether}`,
    'set them in /etc/nix/nix.conf instead: a user that the daemon trusts is as good as root',
  )
}
