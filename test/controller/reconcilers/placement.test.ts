import { expect, it } from 'vitest'
import { createPlacement } from '../../../controller/reconcilers/placement.ts'
import { createAssignments } from '../../../controller/state/assignments.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import type { NodeState } from '../../../controller/views/node.ts'
import { GOOD_NODE, someBuild } from '../views.ts'

const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

function begin() {
  const assignments = createAssignments({ onNode: () => {}, onRoom: () => {} })
  const nodeBuilds = createNodeBuilds()
  let states: readonly NodeState[] = []
  let [changes, reads] = [0, 0]
  const nodes = {
    states() {
      reads += 1
      return [...states]
    },
  }
  const builds = { get: () => undefined }
  const placement = createPlacement({ builds, nodes, nodeBuilds, assignments, nodeChanges: () => changes })
  return {
    assignments,
    reads: () => reads,
    choose: (spec: object = {}) => placement.choose('team/app-1', someBuild({ spec })),
    has(node: NodeState) {
      states = [node]
      nodeBuilds.put(node.name, [])
      changes += 1
    },
  }
}

it('the nodes are not looked at again for another build until one of them has changed', () => {
  const bed = begin()
  const none = { none: 'the cluster has no node' }
  expect([bed.choose(), bed.choose(), bed.reads()]).toEqual([none, none, 1])
  expect([bed.choose({ nodeSelector: { disk: 'fast' } }), bed.reads()]).toEqual([none, 2])
  bed.has(GOOD_NODE)
  expect([bed.choose(), bed.choose({ nodeSelector: { disk: 'fast' } })]).toMatchObject([{ node: 'a' }, {}])
})

it('a node whose list of builds is large gets no further one', () => {
  const bed = begin()
  bed.has(GOOD_NODE)
  const recipe = { ...RECIPE, flakeUrl: `github:team/app?x=${'x'.repeat(5_000)}` }
  for (let number = 0; 'node' in bed.choose() && number < 100; number += 1)
    bed.assignments.assign(`team/app-${number}`, { node: 'a', recipe })
  expect(bed.assignments.onNode('a').size).toBeGreaterThan(30)
  expect(bed.assignments.onNode('a').size).toBeLessThan(50)
})
