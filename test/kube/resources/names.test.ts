import { expect, test } from 'vitest'
import { nixBuildName, shimFieldManager, shimLeaseName } from '../../../kube/resources/names.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'

const RECIPE: FlakeRecipe = {
  image: 'registry.example:5000/team/web:1.0',
  flake: parseFlakeUrl('github:owner/repo'),
  packageName: 'app',
  system: 'x86_64-linux',
}
const OBJECT_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

test.each([
  ['registry.example:5000/team/web:1.0', 'web'],
  ['docker.io/library/app:latest', 'app'],
  [`registry.example/team/web@sha256:${'0'.repeat(64)}`, 'web'],
  ['registry.example/a__b.c--d:1', 'a-b-c-d'],
  [`registry.example/${'long'.repeat(30)}:1`, 'long'.repeat(10)],
  [`registry.example/${'x'.repeat(39)}-y:1`, 'x'.repeat(39)],
])('the NixBuild of %s is named %s and a hash', (image, prefix) => {
  const name = nixBuildName({ ...RECIPE, image })
  expect(name).toMatch(OBJECT_NAME)
  expect(name.slice(0, -17)).toBe(prefix.replace(/-$/, ''))
  expect(name).toMatch(/-[0-9a-f]{16}$/)
})

test('equal recipes have equal names, and different ones differ', () => {
  const names = [
    RECIPE,
    { ...RECIPE, packageName: 'other' },
    { ...RECIPE, system: 'aarch64-linux' },
    { ...RECIPE, flake: parseFlakeUrl('github:owner/other') },
    { ...RECIPE, image: 'registry.example:5000/team/web:2.0' },
  ].map(nixBuildName)
  expect(new Set(names).size).toBe(5)
  expect(nixBuildName({ ...RECIPE })).toBe(names[0])
})

test.each([
  ['node-1'],
  ['node.example.org'],
  ['n'.repeat(63)],
  [`${'n'.repeat(45)}.${'m'.repeat(60)}`],
  ['n'.repeat(253)],
])('the node %s fits into a field manager', node => {
  if (node.length <= 63) expect(shimFieldManager(node)).toBe(`enbi-shim-${node}`)
  expect(shimFieldManager(node).length).toBeLessThanOrEqual(128)
})

test('field managers of nodes with long names stay distinct', () => {
  const [one, two] = ['a', 'b'].map(end => 'n'.repeat(100) + end).map(shimFieldManager)
  expect(one).not.toBe(two)
})

test("a shim's Lease is named by its node, as in the admission policy", () => {
  expect(shimLeaseName('node-1')).toBe('enbi-shim-node-1')
})
