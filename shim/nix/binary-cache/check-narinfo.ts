import { RetryableError } from '../../../lib/errors.ts'
import { fetchNarInfo, type NarInfoQuery } from './fetch-narinfo.ts'
import type { NarInfo } from './narinfo.ts'
import { isSignedBy, keyNames } from './signatures.ts'
import { type PolicyQuery, readSignaturePolicy, type SignaturePolicy } from './trusted-keys.ts'

export interface NarInfoCheck extends Omit<NarInfoQuery, 'env'>, PolicyQuery {
  /** Whether the derivation of the path says which content it has. */
  readonly isFixed: boolean
  /** Further keys that the Nix daemon trusts. */
  readonly ownKeys: readonly string[]
}

/**
 * Throws CopyFailed if the binary cache does not have the path, or Nix would refuse it. Nix itself looks at signatures only after it
 * has fetched everything.
 */
export async function checkNarInfo({ ownKeys, isFixed, ...query }: NarInfoCheck): Promise<void> {
  const [info, policy] = await Promise.all([
    fetchNarInfo({ ...query, env: query.user.env }),
    readSignaturePolicy(query),
  ])
  if (info !== undefined) checkSignature(info, { ...policy, keys: [...policy.keys, ...ownKeys], isFixed })
}

/** Throws CopyFailed if Nix would refuse the path. */
export function checkSignature(
  info: NarInfo,
  { keys, isRequired, isFixed }: SignaturePolicy & Pick<NarInfoCheck, 'isFixed'>,
): void {
  // The path of another derivation does not come from its content, whatever the binary cache says: Nix would ask for a signature.
  const isByContent = isFixed && info.isContentAddressed
  if (!isRequired || isByContent || isSignedBy(info, keys)) return
  throw new RetryableError('CopyFailed', describeSigners(info, keys))
}

export const ADD_KEY = 'add the public key of that node or cache to trusted-public-keys in the nix.conf of this node'

function describeSigners({ signatures }: NarInfo, keys: readonly string[]): string {
  const signers = keyNames(signatures)
  if (signers.length === 0) return `it has no signature: set secret-key-files in the nix.conf where it was built`
  const known = keyNames(keys)
  const trusted = `Nix trusts ${known.length === 0 ? 'no keys' : known.join(', ')}`
  const isKnown = signers.some(name => known.includes(name))
  const fault = isKnown
    ? 'and the signature is wrong, or the key with that name is another one'
    : 'which is not trusted'
  return `it is signed by ${signers.join(', ')}, ${fault} (${trusted}): ${ADD_KEY}`
}
