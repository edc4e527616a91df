import { messageOf, RetryableError } from '../../../lib/errors.ts'
import { type NixConfigQuery, readNixConfig } from '../process/nix-config.ts'

/** What decides which signatures Nix accepts. */
export interface SignaturePolicy {
  /** `<name>:<base 64>` */
  readonly keys: readonly string[]
  readonly isRequired: boolean
}

export type PolicyQuery = NixConfigQuery

/**
 * What nix.conf says about signatures. The Nix daemon reads the same file, and decides by itself; this only tells early. Throws
 * CopyFailed, or NixMissing.
 */
export async function readSignaturePolicy(query: PolicyQuery): Promise<SignaturePolicy> {
  try {
    const { trustedKeys, requiresSignatures } = await readNixConfig(query)
    return { keys: trustedKeys, isRequired: requiresSignatures }
  } catch (cause) {
    if (cause instanceof RetryableError) throw cause
    const text = `which keys Nix trusts cannot be read: ${messageOf(cause)}`
    throw new RetryableError('CopyFailed', text, { cause })
  }
}
