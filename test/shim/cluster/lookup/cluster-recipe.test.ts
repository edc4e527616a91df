import { describe, expect, it } from 'vitest'
import { chooseRecipe } from '../../../../shim/cluster/lookup/cluster-recipe.ts'
import { nixBuild } from '../nixbuilds.ts'

const SYSTEM = 'x86_64-linux'
const managed = { labels: { 'app.kubernetes.io/managed-by': 'enbi-controller' } }
const byHelm = { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }
const byShim = { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } }
const flake = (flakeUrl: string) => ({ spec: { flakeUrl } })
const foreign = { spec: { system: 'aarch64-linux' } }

describe('of the NixBuilds of an image', () => {
  it.each([
    ['the only one is taken', [nixBuild({ name: 'one' })], 'one'],
    ['none is none', [], undefined],
    [
      'one for this system is preferred, even to one made by hand',
      [nixBuild({ name: 'arm', ...foreign }), nixBuild({ name: 'intel', ...managed })],
      'intel',
    ],
    [
      'one for another system is better than none: the pull then says what is wrong',
      [nixBuild({ name: 'arm', ...foreign })],
      'arm',
    ],
    [
      'one made by hand is preferred to one made for pods',
      [nixBuild({ name: 'made', ...managed, ...flake('github:team/new') }), nixBuild({ name: 'hand' })],
      'hand',
    ],
    [
      'one that Helm has put there counts as made by hand',
      [
        nixBuild({ name: 'made', ...managed, created: '2026-01-02T00:00:00Z', ...flake('github:team/new') }),
        nixBuild({ name: 'hand', ...byHelm }),
      ],
      'hand',
    ],
    ['one that a node has made binds no other pod', [nixBuild({ name: 'shim', ...byShim })], undefined],
    [
      'a malformed one that a node has made is not even an error',
      [nixBuild({ name: 'bad', ...byShim, ...flake('path:relative') })],
      undefined,
    ],
    [
      'one that a node has made is passed over for any other',
      [
        nixBuild({ name: 'shim', ...byShim, created: '2026-01-02T00:00:00Z', ...flake('github:team/other') }),
        nixBuild({ name: 'arm', ...managed, ...foreign }),
      ],
      'arm',
    ],
    [
      'the newest of those made for pods is taken',
      [
        nixBuild({ name: 'old', ...managed, created: '2026-01-01T00:00:00Z', ...flake('github:team/old') }),
        nixBuild({ name: 'new', ...managed, created: '2026-01-02T00:00:00Z' }),
      ],
      'new',
    ],
    ['two of one recipe are no conflict', [nixBuild({ name: 'b' }), nixBuild({ name: 'a' })], 'a'],
    [
      'a malformed one is passed over',
      [nixBuild({ name: 'bad', ...flake('path:relative') }), nixBuild({ name: 'good' })],
      'good',
    ],
  ])('%s', (_name, nixBuilds, expected) => {
    expect(chooseRecipe(nixBuilds, SYSTEM)?.nixBuild).toBe(expected)
  })

  it('two made by hand with different recipes are a conflict', () => {
    const two = [nixBuild({ name: 'one' }), nixBuild({ name: 'two', ...flake('github:team/other') })]
    expect(() => chooseRecipe(two, SYSTEM)).toThrow(expect.objectContaining({ code: 'RecipeConflict' }))
  })

  it('two that Helm has put there are one, too', () => {
    const two = [
      nixBuild({ name: 'one', ...byHelm }),
      nixBuild({ name: 'two', ...byHelm, ...flake('github:team/other') }),
    ]
    expect(() => chooseRecipe(two, SYSTEM)).toThrow(expect.objectContaining({ code: 'RecipeConflict' }))
  })

  it('a malformed one alone is an error: the image must not come from a registry', () => {
    const bad = nixBuild({ name: 'bad', ...flake('path:relative') })
    expect(() => chooseRecipe([bad], SYSTEM)).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining('"bad"') }),
    )
  })
})
