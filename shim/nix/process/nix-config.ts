import * as v from 'valibot'
import type { BuildUser } from '../user/build-user.ts'
import { type NixOptions, nixBaseFlags, type OnGroup, runNix } from './run-nix.ts'

/** Settings that Nix has from nix.conf, its environment, and `nix.options` of the shim's config. */
export interface NixConfig {
  /** `<name>:<base 64>` */
  readonly trustedKeys: readonly string[]
  readonly secretKeyFiles: readonly string[]
  /** Whether the daemon accepts store paths only with a trusted signature. */
  readonly requiresSignatures: boolean
  /** Nix collects garbage while it builds with less free space than this, in bytes. 0: never, as far as Nix tells. */
  readonly minFree: number
}

export interface NixConfigQuery {
  readonly nix: Pick<NixOptions, 'command' | 'options'>
  readonly user: BuildUser
  readonly signal: AbortSignal
  readonly onGroup?: OnGroup | undefined
}

const LIMIT_MS = 20_000

/** The second is the name since Nix 2.20. All versions so far accept the first, newer ones with a warning. */
const COMMANDS = [['show-config'], ['config', 'show']]

/**
 * Reads nix.conf as nix does. The Nix daemon reads the same file, and decides by itself; it ignores what `nix.options` has for trusted
 * users only. Throws NixMissing, or an error if nix does not tell.
 */
export async function readNixConfig({ nix, user, signal, onGroup }: NixConfigQuery): Promise<NixConfig> {
  // Most daemons do not take it from the build user, and then nobody collects. If one does, two collect, which does no harm.
  const { 'min-free': _, ...options } = nix.options
  const limited = AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)])
  for (const command of COMMANDS) {
    const { stdout, exitCode } = await runNix({
      command: nix.command,
      args: [...command, '--json', ...nixBaseFlags({ options })],
      user,
      signal: limited,
      onLine: () => {},
      onGroup,
    })
    if (exitCode === 0) return parseNixConfig(stdout)
    if (limited.aborted) break
  }
  throw new Error('nix show-config failed')
}

const texts = v.pipe(v.array(v.pipe(v.string(), v.maxLength(4096))), v.maxLength(1024))
const configSchema = v.object({
  'trusted-public-keys': v.object({ value: texts }),
  'secret-key-files': v.object({ value: texts }),
  'require-sigs': v.object({ value: v.boolean() }),
  // Whether signatures are checked must not depend on it.
  'min-free': v.fallback(v.object({ value: v.pipe(v.number(), v.minValue(0)) }), { value: 0 }),
})

/** Parses the output of `nix show-config --json`. */
export function parseNixConfig(stdout: string): NixConfig {
  try {
    const config = v.parse(configSchema, JSON.parse(stdout))
    return {
      trustedKeys: config['trusted-public-keys'].value,
      secretKeyFiles: config['secret-key-files'].value,
      requiresSignatures: config['require-sigs'].value,
      minFree: config['min-free'].value,
    }
  } catch (cause) {
    throw new Error('nix show-config gave an unexpected answer', { cause })
  }
}
