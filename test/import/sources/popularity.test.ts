import { expect, test } from 'vitest'
import type { StorePathInfo } from '../../../shim/import/contract.ts'
import { splitByPopularity } from '../../../shim/import/sources/popularity.ts'

const GRAPH = {
  app: ['lib', 'shell', 'app'],
  lib: ['libc'],
  shell: ['libc', 'lib'],
  libc: ['libc'],
  doc: [] as string[],
}
const closure = Object.entries(GRAPH).map(([path, references]): StorePathInfo => {
  return { path, references, narHash: '', narSize: 1 }
})

test.each([
  [10, [['libc'], ['lib'], ['shell'], ['app'], ['doc']]],
  [5, [['libc'], ['lib'], ['shell'], ['app'], ['doc']]],
  [3, [['libc'], ['lib'], ['shell', 'app', 'doc']]],
  [1, [['libc', 'lib', 'shell', 'app', 'doc']]],
])('what most need has layers of its own, below the others: at most %i layers', (maxLayers, layers) => {
  expect(splitByPopularity(closure, maxLayers)).toEqual(layers)
})

test('the order of the closure does not matter', () => {
  expect(splitByPopularity(closure.toReversed(), 3)).toEqual(splitByPopularity(closure, 3))
})

test('paths that need one another are no trouble', () => {
  const circle = [
    { path: 'a', references: ['b'], narHash: '', narSize: 1 },
    { path: 'b', references: ['a'], narHash: '', narSize: 1 },
  ]
  expect(splitByPopularity(circle, 5)).toEqual([['a'], ['b']])
})

test('nothing has no layers', () => {
  expect(splitByPopularity([], 5)).toEqual([])
})
