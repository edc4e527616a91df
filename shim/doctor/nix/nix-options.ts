import { type Finding, ok, warning } from '../probes/finding.ts'

/**
 * Settings that a daemon accepts only from trusted users, also with `extra-` before them: they decide how all builds
 * run, and what is trusted. The last lines are older names of the same settings. Source: libstore/daemon.cc
 * (ClientSettings) and globals.hh, 2.8 to 2.35.
 */
const RESTRICTED: ReadonlySet<string> = new Set(
  [
    'allow-new-privileges allow-symlinked-store allowed-impure-host-deps allowed-users always-allow-substitutes',
    'auto-allocate-uids auto-optimise-store build-dir build-hook build-users-group builders builders-use-substitutes',
    'compress-build-log diff-hook external-builders extra-platforms filter-syscalls fsync-metadata fsync-store-paths',
    'hashed-mirrors id-count ignored-acls impersonate-linux-26 keep-build-log keep-derivations keep-outputs log-lines',
    'max-build-log-size max-free max-substitution-jobs min-free narinfo-cache-meta-ttl narinfo-cache-negative-ttl',
    'narinfo-cache-positive-ttl platforms post-build-hook pre-build-hook require-drop-supplementary-groups require-sigs',
    'run-diff-hook sandbox sandbox-build-dir sandbox-dev-shm-size sandbox-fallback sandbox-paths secret-key-files start-id',
    'substituters system-features trusted-public-keys trusted-substituters trusted-users use-cgroups',
    'binary-cache-public-keys binary-caches build-chroot-dirs build-compress-log build-keep-log build-max-log-size',
    'build-sandbox-paths build-use-chroot build-use-sandbox env-keep-derivations gc-keep-derivations gc-keep-outputs',
    'trusted-binary-caches',
  ].flatMap(names => names.split(' ')),
)

export interface OptionsSeen {
  /** `nix.options` of the config. */
  readonly options: Readonly<Record<string, string>>
  /** `null` means the user that runs the shim. */
  readonly user: string | null
  /** Whether the daemon trusts that user; undefined if it does not report this. */
  readonly trusted: boolean | undefined
}

/** Whether the settings in the config have an effect. */
export function judgeOptions({ options, user, trusted }: OptionsSeen): Finding {
  const names = Object.keys(options)
  if (names.length === 0) return ok('nix.options has no settings')
  const restricted = restrictedIn(options)
  if (restricted.length === 0 || trusted === true) return ok(`nix.options has ${names.join(', ')}`)
  const who = user ?? 'the build user'
  const whether =
    trusted === false ? `and ${who} is not trusted` : `and the daemon does not report whether ${who} is trusted`
  return warning(
    `nix.options has ${restricted.join(', ')}, which the daemon accepts only from trusted users, ${whether}`,
    WHERE_THEY_BELONG,
  )
}

const WHERE_THEY_BELONG =
  'set them in /etc/nix/nix.conf instead (a daemon also accepts its trusted-substituters): a user that the daemon trusts is equivalent to root'

/** A warning about settings without effect, as far as the config alone shows; undefined if there are none. */
export function warnOfOptions(options: OptionsSeen['options']): string | undefined {
  const restricted = restrictedIn(options)
  if (restricted.length === 0) return undefined
  return `nix.options has ${restricted.join(', ')}, which a Nix daemon ignores unless the user is trusted: ${WHERE_THEY_BELONG}`
}

function restrictedIn(options: OptionsSeen['options']): string[] {
  return Object.keys(options).filter(name => RESTRICTED.has(name) || RESTRICTED.has(name.replace(/^extra-/, '')))
}
