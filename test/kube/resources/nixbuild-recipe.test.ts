import { describe, expect, test } from 'vitest'
import { nixBuildName } from '../../../kube/resources/names.ts'
import { nixBuildOf, recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { recipeKey } from '../../../recipes/recipe.ts'

const SPEC = { flakeUrl: 'github:owner/repo', imageTag: 'app', packageName: 'images."web.v2"', system: 'x86_64-linux' }

test('a NixBuild made by hand has the same recipe as the pods', () => {
  const { flake, ...rest } = recipeOf({ spec: { ...SPEC, flakeUrl: 'git+https://GIT.example/app?ref=main&dir=a' } })
  expect(rest).toEqual({
    image: 'docker.io/library/app:latest',
    packageName: 'images."web.v2"',
    system: 'x86_64-linux',
  })
  expect(flake.url).toBe('git+https://git.example/app?dir=a&ref=main')
})

describe('a NixBuild is rejected with', () => {
  test.each([
    ['flakeUrl', 'github:owner'],
    ['imageTag', 'UPPER'],
    ['imageTag', `nix:0/nix/store/${'a'.repeat(32)}-app`],
    ['packageName', 'a..b'],
    ['system', 'linux'],
  ])('%s %s', (field, value) => {
    expect(() => recipeOf({ spec: { ...SPEC, [field]: value } })).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid' }),
    )
  })
})

test('a recipe survives a round trip through a NixBuild', () => {
  const recipe = recipeOf({ spec: SPEC })
  const { namespace, name, body } = nixBuildOf(recipe, { namespace: 'team', managedBy: 'enbi-shim' })
  expect({ namespace, name }).toEqual({ namespace: 'team', name: nixBuildName(recipe) })
  expect(body.metadata).toEqual({ labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } })
  expect(body.spec).toEqual({ ...SPEC, imageTag: 'docker.io/library/app:latest' })
  expect(recipeKey(recipeOf(body))).toBe(recipeKey(recipe))
})

describe('a NixBuild of a package set', () => {
  const { packageName: _, ...rest } = SPEC
  const set = { ...rest, contents: ['shell', 'jq', 'curl', 'jq'] }

  test('has a recipe with sorted, distinct names', () => {
    const contents = ['bashInteractive', 'coreutils', 'curl', 'jq', 'moreutils', 'nano']
    expect(recipeOf({ spec: set })).toMatchObject({ contents, system: 'x86_64-linux' })
    expect(recipeOf({ spec: set })).not.toHaveProperty('packageName')
    const other = { ...set, contents: ['shell', 'curl', 'jq'] }
    expect(recipeKey(recipeOf({ spec: other }))).toBe(recipeKey(recipeOf({ spec: set })))
  })

  test('survives a round trip', () => {
    const recipe = recipeOf({ spec: set })
    const { name, body } = nixBuildOf(recipe, { namespace: 'team', managedBy: 'enbi-shim' })
    expect(name).toMatch(/^app-[0-9a-f]{16}$/)
    expect(recipeKey(recipeOf(body))).toBe(recipeKey(recipe))
  })

  test.each([
    ['a package beside', { ...set, packageName: 'web' }, 'either packageName or contents'],
    ['neither', rest, 'either packageName or contents'],
    ['another system', { ...set, contents: ['arm64', 'curl'] }, 'aarch64-linux'],
    ['no package', { ...set, contents: ['amd64'] }, 'no package'],
  ])('is rejected with %s', (_, spec, message) => {
    expect(() => recipeOf({ spec })).toThrow(expect.objectContaining({ code: 'RecipeInvalid' }))
    expect(() => recipeOf({ spec })).toThrow(message)
  })
})

test('a NixBuild has owner references if there are owners', () => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: '1', controller: false }
  const made = nixBuildOf(recipeOf({ spec: SPEC }), {
    namespace: 'team',
    managedBy: 'enbi-controller',
    ownerReferences: [owner],
  })
  expect(made.body.metadata).toEqual({
    labels: { 'app.kubernetes.io/managed-by': 'enbi-controller' },
    ownerReferences: [owner],
  })
})
