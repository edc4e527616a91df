import { describe, expect, it } from 'vitest'
import { chooseRecipe } from '../../../../shim/cluster/lookup/choose-recipe.ts'
import { nixBuild } from '../nixbuilds.ts'

const SYSTEM = 'x86_64-linux'
const managed = { labels: { 'app.kubernetes.io/managed-by': 'enbi-controller' } }
const byHelm = { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }
const byShim = { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } }
const flake = (flakeUrl: string) => ({ spec: { flakeUrl } })
const foreign = { spec: { system: 'aarch64-linux' } }

describe('the choice among the NixBuilds of an image', () => {
  it.each([
    ['the only one is taken', [nixBuild({ name: 'one' })], 'one'],
    ['none is none', [], undefined],
    [
      'prefers one for this system, even to one made by hand',
      [nixBuild({ name: 'arm', ...foreign }), nixBuild({ name: 'intel', ...managed })],
      'intel',
    ],
    [
      'falls back to one for another system, so that the pull reports the mismatch',
      [nixBuild({ name: 'arm', ...foreign })],
      'arm',
    ],
    [
      'prefers one made by hand to one made for pods',
      [nixBuild({ name: 'made', ...managed, ...flake('github:team/new') }), nixBuild({ name: 'hand' })],
      'hand',
    ],
    [
      'treats one installed by Helm as made by hand',
      [
        nixBuild({ name: 'made', ...managed, created: '2026-01-02T00:00:00Z', ...flake('github:team/new') }),
        nixBuild({ name: 'hand', ...byHelm }),
      ],
      'hand',
    ],
    ['one that a node has made binds no other pod', [nixBuild({ name: 'shim', ...byShim })], undefined],
    [
      'ignores a malformed one made by a node',
      [nixBuild({ name: 'bad', ...byShim, ...flake('path:relative') })],
      undefined,
    ],
    [
      'ignores one made by a node',
      [
        nixBuild({ name: 'shim', ...byShim, created: '2026-01-02T00:00:00Z', ...flake('github:team/other') }),
        nixBuild({ name: 'arm', ...managed, ...foreign }),
      ],
      'arm',
    ],
    [
      'takes the newest of those made for pods',
      [
        nixBuild({ name: 'old', ...managed, created: '2026-01-01T00:00:00Z', ...flake('github:team/old') }),
        nixBuild({ name: 'new', ...managed, created: '2026-01-02T00:00:00Z' }),
      ],
      'new',
    ],
    ['two of one recipe are no conflict', [nixBuild({ name: 'b' }), nixBuild({ name: 'a' })], 'a'],
    [
      'skips a malformed one',
      [nixBuild({ name: 'bad', ...flake('path:relative') }), nixBuild({ name: 'good' })],
      'good',
    ],
  ])('%s', (_name, nixBuilds, expected) => {
    expect(chooseRecipe(nixBuilds, SYSTEM)?.nixBuild).toBe(expected)
  })

  it('reports a conflict for two made by hand with different recipes', () => {
    const two = [nixBuild({ name: 'one' }), nixBuild({ name: 'two', ...flake('github:team/other') })]
    expect(() => chooseRecipe(two, SYSTEM)).toThrow(expect.objectContaining({ code: 'RecipeConflict' }))
  })

  it('reports a conflict for two installed by Helm', () => {
    const two = [
      nixBuild({ name: 'one', ...byHelm }),
      nixBuild({ name: 'two', ...byHelm, ...flake('github:team/other') }),
    ]
    expect(() => chooseRecipe(two, SYSTEM)).toThrow(expect.objectContaining({ code: 'RecipeConflict' }))
  })

  it('fails if the only one is malformed, so that the image does not come from a registry', () => {
    const bad = nixBuild({ name: 'bad', ...flake('path:relative') })
    expect(() => chooseRecipe([bad], SYSTEM)).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining('"bad"') }),
    )
  })
})
