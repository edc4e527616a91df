import { expect, it } from 'vitest'
import { createPreparing, type Preparing } from '../../../controller/state/preparing.ts'

const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

function begin() {
  const changed: string[] = []
  return { preparing: createPreparing({ onNode: node => changed.push(node) }), changed }
}

const countIn = (preparing: Preparing) => preparing.countIn('team', () => true)

it('nodes are asked and released, each reported once', () => {
  const { preparing, changed } = begin()
  for (const node of ['a', 'b', 'a']) preparing.give('team/app', node, RECIPE)
  preparing.give('team/other', 'a', RECIPE)
  expect([...preparing.nodesOf('team/app')]).toEqual(['a', 'b'])
  expect([...preparing.onNode('a')]).toEqual(['team/app', 'team/other'])
  expect([countIn(preparing), preparing.recipeOf('team/app')]).toEqual([3, RECIPE])
  expect(preparing.countIn('team', node => node === 'b')).toBe(1)
  preparing.takeAll('team/app')
  for (const node of ['a', 'a']) preparing.take('team/other', node)
  expect([countIn(preparing), preparing.recipeOf('team/app')]).toEqual([0, undefined])
  expect(changed).toEqual(['a', 'b', 'a', 'a', 'b', 'a'])
})

it('what a NixNode says counts once, and until it is gone', () => {
  const { preparing, changed } = begin()
  preparing.restore('a', [{ key: 'team/app', recipe: RECIPE }])
  preparing.restore('a', [{ key: 'team/other', recipe: RECIPE }])
  expect([...preparing.onNode('a')]).toEqual(['team/app'])
  expect(changed).toEqual([])
  preparing.restore('a', undefined)
  expect([...preparing.onNode('a')]).toEqual([])
  preparing.restore('a', [{ key: 'team/other', recipe: RECIPE }])
  expect([...preparing.onNode('a')]).toEqual(['team/other'])
})
