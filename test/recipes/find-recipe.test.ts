import { describe, expect, it } from 'vitest'
import { findRecipe } from '../../recipes/find-recipe.ts'

const SYSTEM = 'x86_64-linux'
const P = 'enbi.hrzn.ee/nixbuild-'
const DIGEST = `sha256:${'a'.repeat(64)}`
const complete = {
  [`${P}imageTag`]: 'app:1',
  [`${P}flakeUrl`]: 'github:team/app',
  [`${P}packageName`]: 'images.web',
}
const set = {
  [`${P}imageTag`]: 'app:1',
  [`${P}flakeUrl`]: 'github:NixOS/nixpkgs',
  [`${P}contents`]: 'curl jq',
}

function find(image: string, annotations: Record<string, string>) {
  return findRecipe({ image, annotations, system: SYSTEM })
}

describe('findRecipe returns the recipe', () => {
  it('with its reference normalized, its flake parsed and the system of the node', () => {
    expect(find('app:1', complete)).toMatchObject({
      image: 'docker.io/library/app:1',
      flake: { url: 'github:team/app', scheme: 'github', locked: false },
      packageName: 'images.web',
      system: SYSTEM,
    })
  })

  it('with the system of the annotation', () => {
    expect(find('app:1', { ...complete, [`${P}system`]: 'aarch64-linux' })?.system).toBe('aarch64-linux')
  })

  it.each([
    ['app:1', 'docker.io/library/app:1'],
    ['app:latest', 'app'],
    ['app', 'index.docker.io/library/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    [`registry.example:443/a/b@${DIGEST}`, `registry.example:443/a/b@${DIGEST}`],
    [`registry.example/a/b:2@${DIGEST}`, `registry.example/a/b@${DIGEST}`],
  ])('if the pod says %s and the annotation %s', (image, imageTag) => {
    expect(find(image, { ...complete, [`${P}imageTag`]: imageTag })).toBeDefined()
  })

  it('of the suffix that names the image', () => {
    const annotations = {
      ...complete,
      [`${P}imageTag.db`]: 'db:1',
      [`${P}flakeUrl.db`]: 'github:team/db',
      [`${P}packageName.db`]: 'db',
    }
    expect(find('db:1', annotations)).toMatchObject({ packageName: 'db' })
    expect(find('app:1', annotations)).toMatchObject({ packageName: 'images.web' })
  })

  it.each([
    ['jq curl jq', ['curl', 'jq'], SYSTEM],
    [' curl,jq, ', ['curl', 'jq'], SYSTEM],
    ['curl\njq', ['curl', 'jq'], SYSTEM],
    ['python3Packages.requests', ['python3Packages.requests'], SYSTEM],
    ['shell curl', ['bashInteractive', 'coreutils', 'curl', 'moreutils', 'nano'], SYSTEM],
    ['arm64 curl', ['curl'], 'aarch64-linux'],
  ])('of a package set with the contents %j', (text, contents, system) => {
    const recipe = find('app:1', { ...set, [`${P}contents`]: text })
    expect(recipe).toMatchObject({ contents, system })
    expect(recipe).not.toHaveProperty('packageName')
  })

  it('if two suffixes list the same contents in another order', () => {
    const again = Object.fromEntries(Object.entries(set).map(([key, value]) => [`${key}.again`, value]))
    expect(find('app:1', { ...set, ...again, [`${P}contents.again`]: 'jq,curl' })).toBeDefined()
  })

  it('with the system that annotation and contents agree on', () => {
    const annotations = { ...set, [`${P}contents`]: 'arm64 curl', [`${P}system`]: 'aarch64-linux' }
    expect(find('app:1', annotations)).toMatchObject({ contents: ['curl'], system: 'aarch64-linux' })
  })

  it('of a package if the contents are empty', () => {
    expect(find('app:1', { ...complete, [`${P}contents`]: '' })).toMatchObject({ packageName: 'images.web' })
  })

  it('if two suffixes have the same recipe', () => {
    const twice = Object.fromEntries(Object.entries(complete).map(([key, value]) => [`${key}.too`, value]))
    expect(find('app:1', { ...complete, ...twice })).toBeDefined()
  })
})

describe('findRecipe returns nothing', () => {
  it.each([
    ['without annotations', 'app:1', {}],
    ['for an image that no annotation names', 'sidecar:1', complete],
    ['for another tag', 'app:2', complete],
    ['for a reference that only some versions of containerd accept', '[fd00::1]:5000/team/sidecar:1', complete],
    ['for an image id', 'a'.repeat(64), complete],
    ['for an invalid reference', 'Not A Reference', complete],
    ['for another registry', 'registry.example/app:1', complete],
    ['for annotations of other tools', 'app:1', { 'example.com/imageTag': 'app:1', 'enbi.hrzn.ee/other': 'x' }],
  ])('%s', (_name, image, annotations) => {
    expect(find(image, annotations)).toBeUndefined()
  })
})

describe('findRecipe rejects annotations and names the one at fault', () => {
  const INVALID = 'RecipeInvalid'
  const MANY = Array.from({ length: 129 }, (_, index) => `p${index}`)
  const without = (key: string) => Object.fromEntries(Object.entries(complete).filter(([name]) => name !== P + key))
  it.each([
    ['no flakeUrl', 'app:1', without('flakeUrl'), `${P}flakeUrl`, 'RecipeIncomplete'],
    ['no packageName', 'app:1', without('packageName'), `${P}packageName`, 'RecipeIncomplete'],
    ['no contents either', 'app:1', without('packageName'), `${P}contents`, 'RecipeIncomplete'],
    ['a packageName beside contents', 'app:1', { ...set, [`${P}packageName`]: 'app' }, `${P}packageName`, INVALID],
    ['contents beside a packageName', 'app:1', { ...set, [`${P}packageName`]: 'app' }, `${P}contents`, INVALID],
    ['contents without a name', 'app:1', { ...set, [`${P}contents`]: ' , ' }, `${P}contents`, INVALID],
    ['contents with an option', 'app:1', { ...set, [`${P}contents`]: 'curl --impure' }, `${P}contents`, INVALID],
    ['129 contents', 'app:1', { ...set, [`${P}contents`]: MANY.join(' ') }, `${P}contents`, INVALID],
    [
      'contents for another system',
      'app:1',
      { ...set, [`${P}contents`]: 'arm64 curl', [`${P}system`]: SYSTEM },
      `${P}contents`,
      INVALID,
    ],
    ['no imageTag', 'app:1', without('imageTag'), `${P}imageTag`, 'RecipeIncomplete'],
    ['an empty flakeUrl', 'app:1', { ...complete, [`${P}flakeUrl`]: '' }, `${P}flakeUrl`, 'RecipeIncomplete'],
    ['an invalid imageTag', 'app:1', { ...complete, [`${P}imageTag`]: 'No Image' }, `${P}imageTag`, 'RecipeInvalid'],
    [
      'an imageTag that names a store path',
      `nix:0/nix/store/${'a'.repeat(32)}-app`,
      { ...complete, [`${P}imageTag`]: `nix:0/nix/store/${'a'.repeat(32)}-app` },
      `${P}imageTag`,
      'RecipeInvalid',
    ],
    [
      'a flakeUrl that is an option',
      'app:1',
      { ...complete, [`${P}flakeUrl`]: '--foo' },
      `${P}flakeUrl`,
      'RecipeInvalid',
    ],
    [
      'a packageName with a space',
      'app:1',
      { ...complete, [`${P}packageName`]: 'a b' },
      `${P}packageName`,
      'RecipeInvalid',
    ],
    ['an invalid system', 'app:1', { ...complete, [`${P}system`]: '$(id)' }, `${P}system`, 'RecipeInvalid'],
    [
      'keys under different suffixes',
      'app:1',
      { ...without('flakeUrl'), [`${P}flakeUrl.web`]: 'github:a/b' },
      `${P}flakeUrl`,
      'RecipeIncomplete',
    ],
  ])('with %s', (_name, image, annotations, annotation, code) => {
    expect(() => find(image, annotations)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(annotation) }),
    )
  })

  it('except for images that another suffix names in full', () => {
    expect(find('app:1', { ...complete, [`${P}flakeUrl.broken`]: 'github:a/b' })).toBeDefined()
  })

  it('with two recipes for one image', () => {
    const other = { [`${P}imageTag.b`]: 'app:1', [`${P}flakeUrl.b`]: 'github:team/b', [`${P}packageName.b`]: 'b' }
    expect(() => find('app:1', { ...complete, ...other })).toThrow(`${P}imageTag.b`)
  })

  it('with more than 64 images', () => {
    const others = Array.from({ length: 64 }, (_, n) => [`${P}imageTag.${n}`, `b${n}`])
    expect(() => find('app:1', { ...complete, ...Object.fromEntries(others) })).toThrow('65 images')
    expect(find('app:1', { ...complete, ...Object.fromEntries(others.slice(1)) })).toBeDefined()
  })

  it('in a message of bounded length for a value of 200 kB', () => {
    const annotations = { ...complete, [`${P}flakeUrl`]: `github:${'x'.repeat(200_000)}` }
    expect(() => find('app:1', annotations)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^.{1,600}$/s) }),
    )
  })
})
