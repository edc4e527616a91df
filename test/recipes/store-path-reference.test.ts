import { expect, it } from 'vitest'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'

it.each([
  ['', `${HASH}-nix-image-redis.tar`],
  [':latest', `${HASH}-nix-image-redis.tar`],
  [':latest', `${HASH}-hello-2.12.1`],
])('a reference names a store path, with the tag "%s": %s', (tag, name) => {
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
])('a reference is for others to read: %s', reference => {
  expect(storePathRecipe(reference)).toBeUndefined()
})

it.each([
  ['a tag of its own', `${HASH}-app:1`, 'neither a digest nor a tag'],
  ['a digest', `${HASH}-app@sha256:${'a'.repeat(64)}`, 'neither a digest nor a tag'],
  ['a derivation', `${HASH}-app.drv`, 'a derivation'],
  ['a short hash', 'abc-app', 'no store path'],
  ['no name', HASH, 'no store path'],
  ['a file below a store path', `${HASH}-app/bin/app`, 'no store path'],
  ['a folder above', `../${HASH}-app`, 'no image reference'],
  ['a capital letter', `${HASH}-App`, 'no capital letters'],
])('a reference is refused for %s', (_why, name, words) => {
  expect(() => storePathRecipe(`nix:0/nix/store/${name}`)).toThrow(
    expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
  )
})
