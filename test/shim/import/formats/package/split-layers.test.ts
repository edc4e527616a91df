import { expect, test } from 'vitest'
import type { StorePathInfo } from '../../../../../recipes/store-path.ts'
import { splitLayers } from '../../../../../shim/import/formats/package/split-layers.ts'

const info = (path: string, references: readonly string[] = [], narSize = 1): StorePathInfo => {
  return { path, narHash: '0'.repeat(64), narSize, references }
}
const chain = [info('root', ['app']), info('app', ['app', 'tls']), info('tls', ['libc']), info('libc', ['libc'])]
/** Two packages with their own parts, and what both need. */
const pair = [
  info('root', ['a', 'b']),
  info('a', ['a1', 'libc', 'shared']),
  info('a1', ['a2']),
  info('a2'),
  info('b', ['b1', 'shared']),
  info('b1', ['libc']),
  info('shared', ['libc']),
  info('libc'),
]

test.each<[string, StorePathInfo[], number, string[][]]>([
  ['nothing is needed', [info('root')], 5, []],
  ['a path refers to itself', [info('root', ['root', 'app']), info('app', ['app'])], 5, [['app']]],
  ['what is needed lies below what needs it', chain, 5, [['libc'], ['tls'], ['app']]],
  ['there are as many layers as paths', chain, 3, [['libc'], ['tls'], ['app']]],
  [
    'there is room for the most needed path alone, what is for one package shares a layer',
    chain,
    2,
    [['libc'], ['app', 'tls']],
  ],
  ['there is one layer', chain, 1, [['app', 'libc', 'tls']]],
  ['what several packages need has layers of its own', pair, 4, [['libc'], ['shared'], ['a', 'a1', 'a2'], ['b', 'b1']]],
  ['room is left for one path', pair, 5, [['libc'], ['shared'], ['a2'], ['a', 'a1'], ['b', 'b1']]],
  [
    'there are more groups than layers',
    pair,
    3,
    [
      ['a', 'a1', 'a2'],
      ['b', 'b1'],
      ['libc', 'shared'],
    ],
  ],
  [
    'being needed indirectly counts',
    [info('root', ['a', 'b', 'x']), info('a', ['x']), info('b', ['deep']), info('deep', ['z']), info('x'), info('z')],
    5,
    [['z'], ['deep'], ['x'], ['a'], ['b']],
  ],
  ['a larger one comes first', [info('root', ['a', 'b']), info('a'), info('b', [], 9)], 5, [['b'], ['a']]],
  ['among equals the path decides', [info('root', ['b', 'a']), info('b'), info('a')], 5, [['a'], ['b']]],
  ['a reference leads out of the closure', [info('root', ['app']), info('app', ['elsewhere'])], 5, [['app']]],
  ['a path is there twice', [info('root', ['app']), info('app'), info('app')], 5, [['app']]],
  ['there is a circle', [info('root', ['a']), info('a', ['b']), info('b', ['a'])], 5, [['a'], ['b']]],
  [
    'there is a circle and too few layers',
    [info('root', ['a']), info('a', ['b']), info('b', ['a']), info('c')],
    1,
    [['a', 'b', 'c']],
  ],
])('a closure is split the same way in any order when %s', (_, closure, maxLayers, layers) => {
  expect(splitLayers(closure, 'root', maxLayers)).toEqual(layers)
  expect(splitLayers(closure.toReversed(), 'root', maxLayers)).toEqual(layers)
})

test('dependents are counted of more paths than one pass follows', () => {
  const names = Array.from({ length: 2100 }, (_, n) => `path-${n}`)
  const closure = names.map((name, n) => info(name, names.slice(n + 1, n + 3)))
  expect(splitLayers(closure, '', names.length)).toEqual(names.toReversed().map(name => [name]))
})

test('the largest groups have their own layers if there are more groups than layers', () => {
  const packages = Array.from({ length: 40 }, (_, n) => `package-${n}`)
  const closure = [
    info('root', packages),
    ...packages.map((name, n) => info(name, [`${name}-part`, 'libc', 'tiny', 'large'], n === 7 ? 900 : 1)),
    ...packages.map(name => info(`${name}-part`, ['libc'], name === 'package-9' ? 800 : 1)),
    info('libc', [], 100),
    info('large', [], 500),
    info('tiny'),
  ]
  const layers = splitLayers(closure, 'root', 5)
  expect(layers.slice(0, -1)).toEqual([
    ['libc'],
    ['large'],
    ['package-7', 'package-7-part'],
    ['package-9', 'package-9-part'],
  ])
  expect(layers.at(-1)).toHaveLength(77)
  expect(splitLayers(closure.toReversed(), 'root', 5)).toEqual(layers)
})

test('two sets with nine of ten packages in common share all layers except those of the tenth', () => {
  const setOf = (packages: readonly string[]) => [
    info('root', packages),
    ...packages.flatMap(name => {
      const parts = Array.from({ length: 20 }, (_, n) => `${name}-part-${n}`)
      return [info(name, [...parts, 'libc', 'tls']), ...parts.map(part => info(part, ['libc']))]
    }),
    info('tls', ['libc']),
    info('libc'),
  ]
  const common = Array.from({ length: 9 }, (_, n) => `package-${n}`)
  const [one = [], other = []] = ['tenth', 'another'].map(name => splitLayers(setOf([...common, name]), 'root', 20))
  const known = new Set(one.map(paths => paths.join()))
  const added = other.filter(paths => !known.has(paths.join())).flat()
  expect(added.every(path => path.startsWith('another'))).toBe(true)
})
