import { describe, expect, it } from 'vitest'
import { readNarHash } from '../../../../shim/nix/binary-cache/nar-hash.ts'

/** As `nix hash to-base16`, `to-sri` and `to-base32` print them (Nix 2.26.3). */
const HASHES = [
  [
    '0000000000000000000000000000000000000000000000000000000000000000',
    'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    '0000000000000000000000000000000000000000000000000000',
  ],
  [
    'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'sha256-//////////////////////////////////////////8=',
    '1zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz',
  ],
  [
    '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
    '094qif9n4cq4fdg459qzbhg1c6wywawwaaivx0k0x8xhbyx4vwic',
  ],
  [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73',
  ],
  [
    '8000000000000000000000000000000000000000000000000000000000000000',
    'sha256-gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    '0000000000000000000000000000000000000000000000000040',
  ],
  [
    '0000000000000000000000000000000000000000000000000000000000000080',
    'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA=',
    '1000000000000000000000000000000000000000000000000000',
  ],
] as const

describe('the hash of a NAR', () => {
  it.each(HASHES)('%s is read in each form of Nix', (hex, sri, base32) => {
    const signed = `sha256:${base32}`
    const forms = [signed, `sha256:${hex}`, `sha256:${hex.toUpperCase()}`, sri, sri.replace('-', ':')]
    expect(forms.map(readNarHash)).toEqual(forms.map(() => signed))
  })

  it.each([
    ['nothing', ''],
    ['another kind of hash', `md5:${'1'.repeat(32)}`],
    ['no kind', '1'.repeat(52)],
    ['a digit too few', `sha256:${'1'.repeat(51)}`],
    ['a digit too many', `sha256:${'1'.repeat(53)}`],
    ['more than 256 bits', `sha256:2${'1'.repeat(51)}`],
    ['letters that Nix does not use', `sha256:${'1'.repeat(51)}e`],
    ['hexadecimal digits as base 64', `sha256-${'a'.repeat(64)}`],
    ['base 64 of 33 bytes', `sha256-${'A'.repeat(44)}`],
    ['base 64 of 31 bytes', `sha256-${'A'.repeat(42)}==`],
    ['what comes after the hash', `sha256:${'1'.repeat(52)} x`],
  ])('is invalid if it is %s', (_, text) => {
    expect(readNarHash(text)).toBeUndefined()
  })
})
