import { expect, test } from 'vitest'
import type { StorePathInfo } from '../../../shim/import/contract.ts'
import { splitByPopularity } from '../../../shim/import/sources/popularity.ts'

const info = (path: string, references: readonly string[] = [], narSize = 1): StorePathInfo => {
  return { path, narHash: '0'.repeat(64), narSize, references }
}
const chain = [info('app', ['app', 'tls']), info('tls', ['libc']), info('libc', ['libc'])]

test.each<[string, StorePathInfo[], number, string[][]]>([
  ['nothing', [], 5, []],
  ['a path that refers to itself', [info('app', ['app'])], 5, [['app']]],
  ['what is needed lies below what needs it', chain, 5, [['libc'], ['tls'], ['app']]],
  ['as many layers as paths', chain, 3, [['libc'], ['tls'], ['app']]],
  ['the rest share the last layer, by path', chain, 2, [['libc'], ['app', 'tls']]],
  ['one layer', chain, 1, [['app', 'libc', 'tls']]],
  [
    'being needed indirectly counts',
    [info('app', ['a', 'b', 'x']), info('a', ['x']), info('b', ['deep']), info('deep', ['z']), info('x'), info('z')],
    3,
    [['z'], ['deep'], ['a', 'app', 'b', 'x']],
  ],
  ['a larger one first', [info('app', ['a', 'b']), info('a'), info('b', [], 9)], 5, [['b'], ['a'], ['app']]],
  ['among equals the path decides', [info('app', ['b', 'a']), info('b'), info('a')], 5, [['a'], ['b'], ['app']]],
  ['a reference out of the closure', [info('app', ['elsewhere'])], 5, [['app']]],
  ['a path that is there twice', [info('app'), info('app')], 5, [['app']]],
  ['a circle', [info('a', ['b']), info('b', ['a'])], 5, [['a'], ['b']]],
])('%s', (_, closure, maxLayers, layers) => {
  expect(splitByPopularity(closure, maxLayers)).toEqual(layers)
  expect(splitByPopularity(closure.toReversed(), maxLayers)).toEqual(layers)
})

test('of more paths than are followed at once each counts all that need it', () => {
  const names = Array.from({ length: 2100 }, (_, n) => `path-${n}`)
  const closure = names.map((name, n) => info(name, names.slice(n + 1, n + 3)))
  expect(splitByPopularity(closure, names.length)).toEqual(names.toReversed().map(name => [name]))
})
