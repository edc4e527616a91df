/** Nix's base 32. Source: Nix, src/libutil/hash.cc. */
const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz'
const BASE32 = /^[01][0-9a-df-np-sv-z]{51}$/
const HEX = /^[0-9a-f]{64}$/i
const BASE64 = /^[0-9A-Za-z+/]{43}=$/
const BITS = 256
const BITS_OF_DIGIT = 5

/**
 * The hash of a NAR as Nix signs it: `sha256:` and 52 digits of its base 32. A narinfo may have it in each form that Nix knows, as in
 * `sha256:<hex>` of attic, and `sha256-<base 64>`. Undefined if it is no such hash.
 */
export function readNarHash(text: string): string | undefined {
  const [, separator, digits = ''] = /^sha256([:-])(.+)$/.exec(text) ?? []
  if (separator === ':' && BASE32.test(digits)) return text
  if (separator === ':' && HEX.test(digits)) return inBase32(Buffer.from(digits, 'hex'))
  return separator !== undefined && BASE64.test(digits) ? inBase32(Buffer.from(digits, 'base64')) : undefined
}

/** The first digit has the highest bits of the last byte. */
function inBase32(hash: Buffer): string {
  let rest = BigInt(`0x${Buffer.from(hash).reverse().toString('hex')}`)
  let digits = ''
  for (let bit = 0; bit < BITS; bit += BITS_OF_DIGIT) {
    digits = DIGITS.charAt(Number(rest & 31n)) + digits
    rest >>= 5n
  }
  return `sha256:${digits}`
}
