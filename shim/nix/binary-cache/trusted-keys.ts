import * as v from 'valibot'
import { RetryableError } from '../../../lib/errors.ts'
import { type NixOptions, nixBaseFlags, type OnGroup, runNix } from '../process/run-nix.ts'
import type { BuildUser } from '../user/build-user.ts'

/** What decides which signatures Nix accepts. */
export interface SignaturePolicy {
  /** `<name>:<base 64>` */
  readonly keys: readonly string[]
  readonly isRequired: boolean
}

export interface PolicyQuery {
  readonly nix: Pick<NixOptions, 'command' | 'options'>
  readonly user: BuildUser
  readonly signal: AbortSignal
  readonly onGroup?: OnGroup | undefined
}

const LIMIT_MS = 20_000

const configSchema = v.object({
  'trusted-public-keys': v.object({ value: v.array(v.pipe(v.string(), v.maxLength(1024))) }),
  'require-sigs': v.object({ value: v.boolean() }),
})

/**
 * Reads nix.conf as nix does. The Nix daemon reads the same file, and decides by itself; this only tells early. Throws CopyFailed.
 */
export async function readSignaturePolicy({ nix, user, signal, onGroup }: PolicyQuery): Promise<SignaturePolicy> {
  const { stdout, exitCode } = await runNix({
    command: nix.command,
    args: ['show-config', '--json', ...nixBaseFlags(nix)],
    user,
    signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]),
    onLine: () => {},
    onGroup,
  })
  if (exitCode !== 0) throw unreadable('nix show-config failed')
  return parseSignaturePolicy(stdout)
}

/** Parses the output of `nix show-config --json`. Throws CopyFailed. */
export function parseSignaturePolicy(stdout: string): SignaturePolicy {
  try {
    const config = v.parse(configSchema, JSON.parse(stdout))
    return { keys: config['trusted-public-keys'].value, isRequired: config['require-sigs'].value }
  } catch {
    throw unreadable('nix show-config gave an unexpected answer')
  }
}

function unreadable(why: string): RetryableError {
  return new RetryableError('CopyFailed', `which keys Nix trusts cannot be read: ${why}`)
}
