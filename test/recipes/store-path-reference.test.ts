import { expect, it } from 'vitest'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'

it.each([
  ['', `${HASH}-nix-image-redis.tar`],
  [':latest', `${HASH}-nix-image-redis.tar`],
  [':latest', `${HASH}-hello-2.12.1`],
])('a reference with the tag "%s" names the store path %s', (tag, name) => {
  expect(storePathRecipe(`nix:0/nix/store/${name}${tag}`)).toEqual({
    image: `nix:0/nix/store/${name}:latest`,
    storePath: `/nix/store/${name}`,
  })
})

it.each([
  'registry.example/nix:0',
  `registry.example/nix/store/${HASH}-app`,
  `nix:1/nix/store/${HASH}-app`,
  'nix:0/other/app',
])('a reference does not name a store path: %s', reference => {
  expect(storePathRecipe(reference)).toBeUndefined()
})

it.each([
  ['a tag of its own', `${HASH}-app:1`, 'no digest, and no tag other than latest'],
  ['a digest', `${HASH}-app@sha256:${'a'.repeat(64)}`, 'no digest, and no tag other than latest'],
  ['a derivation', `${HASH}-app.drv`, 'a derivation'],
  ['a short hash', 'abc-app', 'not a store path'],
  ['no name', HASH, 'not a store path'],
  ['a file below a store path', `${HASH}-app/bin/app`, 'not a store path'],
  ['a folder above', `../${HASH}-app`, 'not an image reference'],
  ['a capital letter', `${HASH}-App`, 'must not have capital letters'],
])('a reference to a store path is rejected for %s', (_why, name, words) => {
  expect(() => storePathRecipe(`nix:0/nix/store/${name}`)).toThrow(
    expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
  )
})
