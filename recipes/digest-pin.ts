import { createHash } from 'node:crypto'

/** The digest at the end of an image reference: the image is to have the very manifest that it is of. */
export interface DigestPin {
  readonly algorithm: Algorithm
  readonly hex: string
}

type Algorithm = keyof typeof HEX_DIGITS

/** Of each algorithm that image references may name. Source: OCI image specification, descriptor.md. */
const HEX_DIGITS = { sha256: 64, sha384: 96, sha512: 128 } as const

/** Reads `sha512:<hex>`; undefined for whatever cannot be verified. */
export function parseDigestPin(digest: string): DigestPin | undefined {
  const [name = '', hex = '', ...more] = digest.split(':')
  if (more.length > 0 || !isAlgorithm(name)) return undefined
  return hex.length === HEX_DIGITS[name] && /^[0-9a-f]+$/.test(hex) ? { algorithm: name, hex } : undefined
}

/** Whether the bytes have that digest. */
export function isPinned({ algorithm, hex }: DigestPin, bytes: Buffer): boolean {
  return createHash(algorithm).update(bytes).digest('hex') === hex
}

function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(HEX_DIGITS, name)
}
