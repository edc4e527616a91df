import { expect, it } from 'vitest'
import { createNodePreparation } from '../../../controller/prepare/prepare-nodes.ts'
import { createAssignments } from '../../../controller/state/assignments.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import { createNodes } from '../../../controller/state/nodes.ts'
import { createPreparing } from '../../../controller/state/preparing.ts'
import type { NodeView } from '../../../controller/views/node.ts'
import { READY_NODE, someBuild } from '../views.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const RECIPE = { flakeUrl: 'github:team/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }

/** Nodes with living shims, of which those whose names begin with `fetch` build nothing. */
function begin(...views: readonly Partial<NodeView>[]) {
  const all = new Map(views.map(view => ({ ...READY_NODE, ...view })).map(view => [view.name, view]))
  const nodes = createNodes({
    mirrored: node => all.get(node),
    allMirrored: () => all.values(),
    isFetchOnly: node => node.startsWith('fetch'),
    repels: () => false,
    tolerations: [],
    onChange: () => {},
    now: () => NOW,
  })
  const nodeBuilds = createNodeBuilds()
  for (const node of all.keys()) {
    nodes.leaseChanged(node, { node, renewTime: new Date(NOW).toISOString(), durationMs: 40_000 })
    nodeBuilds.put(node, [])
  }
  const assignments = createAssignments({ onNode: () => {}, onRoom: () => {} })
  const preparing = createPreparing({ onNode: () => {} })
  const kube = { get: async () => undefined }
  return {
    preparing,
    preparation: createNodePreparation({ state: { nodes, nodeBuilds, assignments, preparing }, kube }),
  }
}

it.each([
  ['can build', [{ name: 'a' }, { name: 'fetch' }], true],
  ['will build once it is ready', [{ name: 'a', ready: false }, { name: 'fetch' }], true],
  ['only fetches', [{ name: 'fetch' }], false],
])('a selected node %s', (_name, views, canBuild) => {
  const build = someBuild({ spec: { nodes: {} } })
  expect(begin(...views).preparation.select(build)).toMatchObject({ canBuild })
})

it('nodes that were lost leave room for others of their namespace', async () => {
  const lost = Array.from({ length: 200 }, (_, index) => ({ name: `lost-${index}`, ready: false }))
  const { preparing, preparation } = begin(...lost, { name: 'a' })
  for (const { name } of lost) preparing.give('team/other', name, RECIPE)
  // Its recipe is known.
  preparing.give('team/app-1', 'lost-0', RECIPE)
  const build = someBuild({ spec: { nodes: {} } })
  await preparation.prepare('team/app-1', build, preparation.select(build))
  expect([...preparing.nodesOf('team/app-1')]).toEqual(['lost-0', 'a'])
})
