import { createHash } from 'node:crypto'

/** The digest at the end of an image reference: the image's manifest must have it. */
export interface DigestPin {
  readonly algorithm: Algorithm
  readonly hex: string
}

type Algorithm = keyof typeof HEX_DIGITS

/** Length of each digest that an image reference may have. Source: OCI image specification, descriptor.md. */
const HEX_DIGITS = { sha256: 64, sha384: 96, sha512: 128 } as const

/** Parses `sha512:<hex>`. Undefined if the digest cannot be verified. */
export function parseDigestPin(digest: string): DigestPin | undefined {
  const [name = '', hex = '', ...more] = digest.split(':')
  if (more.length > 0 || !isAlgorithm(name)) return undefined
  return hex.length === HEX_DIGITS[name] && /^[0-9a-f]+$/.test(hex) ? { algorithm: name, hex } : undefined
}

export function isPinned({ algorithm, hex }: DigestPin, bytes: Buffer): boolean {
  return createHash(algorithm).update(bytes).digest('hex') === hex
}

function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(HEX_DIGITS, name)
}
