import { expect, it } from 'vitest'
import { parsePublicKey } from '../../../lib/text/public-key.ts'

const BASE64 = 'vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOk='

it('a public key of Nix is read with its name', () => {
  expect(parsePublicKey(`cache.nixos.org-1:${BASE64}`)).toEqual({
    name: 'cache.nixos.org-1',
    text: `cache.nixos.org-1:${BASE64}`,
  })
})

it.each([
  ['no name', `:${BASE64}`],
  ['no colon', BASE64],
  ['a name that needs quotes', `a"b:${BASE64}`],
  ['a comment', `a#b:${BASE64}`],
  ['a second line', `a:${BASE64}\nb:${BASE64}`],
  ['too few bytes', 'a:vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWA=='],
  ['a secret key', `a:${Buffer.alloc(64).toString('base64')}`],
  ['bits after the end', 'a:vcjFmc4ySzLbxTjmjNbbqwMvLdGDoTo3SvlUVWzOWOl='],
])('a text with %s is no public key', (_what, text) => {
  expect(parsePublicKey(text)).toBeUndefined()
})
