import { expect, it } from 'vitest'
import { createAssignments } from '../../../controller/state/assignments.ts'

const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

it('the size of the assigned builds of a node follows what is assigned, restored and revoked', () => {
  const assignments = createAssignments({ onNode: () => {}, onRoom: () => {} })
  assignments.assign('team/a', { node: 'a', recipe: RECIPE })
  const one = assignments.bytesOn('a')
  expect(one).toBeGreaterThan(JSON.stringify(RECIPE).length)
  assignments.restore('a', [{ key: 'team/b', recipe: RECIPE }])
  expect(assignments.bytesOn('a')).toBe(2 * one)
  assignments.assign('team/a', { node: 'b', recipe: RECIPE })
  expect([assignments.bytesOn('a'), assignments.bytesOn('b')]).toEqual([one, one])
  for (const key of ['team/a', 'team/b', 'team/b']) assignments.revoke(key)
  expect([assignments.bytesOn('a'), assignments.bytesOn('b')]).toEqual([0, 0])
})
