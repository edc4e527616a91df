import { expect, it } from 'vitest'
import { createNodeBuildsReconciler } from '../../../controller/reconcilers/node-builds-reconciler.ts'
import { createNodeRecipes } from '../../../controller/reconcilers/node-recipes.ts'
import { createAssignments } from '../../../controller/state/assignments.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import { createPreparing } from '../../../controller/state/preparing.ts'
import { nixNodeView } from '../../../controller/views/nixnode.ts'
import type { Kind, ObjectName } from '../../../kube/client/contract.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { type NodeBuild, nixNodes } from '../../../kube/resources/nixnode.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import { startBuilds, startPods } from '../state/start.ts'
import { ANNOTATIONS, somePod } from '../views.ts'

const METADATA = { name: 'node-1', uid: 'uid-1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const KNOWN = new Map([['node-1', 'x86_64-linux']])
const REFUSED = new RetryableError('ClusterConflict', 'no')

function buildOf(imageTag: string, pods: NodeBuild['pods'] = []): NodeBuild {
  const recipe = { flakeUrl: 'github:team/app', imageTag, packageName: 'app', system: 'x86_64-linux' }
  const key = recipeKey(recipeOf({ spec: recipe }))
  return { namespace: 'team', key, recipe, state: 'Building', since: METADATA.creationTimestamp, pods }
}

/** A node with pods without annotations, which reports these builds. */
function start(reported: readonly NodeBuild[], podOf = somePod({ metadata: { name: 'web', annotations: {} } })) {
  const nodeBuilds = createNodeBuilds()
  const view = nixNodeView(nixNodes.parse({ metadata: METADATA, status: { builds: reported } }), {
    ofRecipe: nodeBuilds.ofRecipe,
    isWatched: nodeBuilds.has,
    now: Date.now(),
  })
  nodeBuilds.put('node-1', view.entries)
  const { pods, set } = startPods(KNOWN)
  set('team/web', podOf)
  const { builds } = startBuilds()
  const created: string[] = []
  const written: object[] = []
  const rechecks: string[] = []
  const createBuilds = createNodeRecipes({
    state: { pods, builds, nodeBuilds },
    async create({ image }) {
      created.push(image)
      if (image.endsWith('app:1')) throw REFUSED
      return true
    },
  })
  const reconcile = createNodeBuildsReconciler({
    state: {
      pods,
      nodes: {
        has: () => true,
        uidOf: () => 'node-uid',
        systemOf: node => KNOWN.get(node),
        state: () => undefined,
        states: () => [],
        keepAnnotations: () => undefined,
        aliveUntil: () => undefined,
        nodeChanged: () => {},
        leaseChanged: () => {},
      },
      nixNodes: { get: () => view, values: () => [] },
      assignments: createAssignments({ onNode: () => {}, onRoom: () => {} }),
      preparing: createPreparing({ onNode: () => {} }),
    },
    kube: {
      // One pod is gone, and the other one is not.
      get: async <T>(kind: Kind<T>, { name }: ObjectName) =>
        name === 'gone'
          ? undefined
          : kind.parse({ metadata: { ...METADATA, name, namespace: 'team', uid: name }, spec: { containers: [] } }),
      async patch(kind, { body }) {
        written.push(body)
        return kind.parse({ metadata: { ...METADATA, generation: 2 } })
      },
    },
    createBuilds,
    recheck: node => rechecks.push(node),
  })
  return { reconcile, created, written, rechecks }
}

it('a node releases its deleted pods, and is checked again, although a NixBuild of its node cannot be created', async () => {
  const [first, second] = ['app:1', 'other:1'].map(image =>
    buildOf(
      image,
      ['gone', 'plain'].map(name => ({ name, uid: name })),
    ),
  )
  const images = { containers: ['app:1', 'other:1'].map(image => ({ name: image, image })) }
  const pod = somePod({ metadata: { annotations: {} }, spec: images })
  if (!first || !second) throw new Error('no builds')
  const { reconcile, created, written, rechecks } = start([first, second], pod)
  await expect(reconcile('node-1')).rejects.toBe(REFUSED)
  expect(written).toMatchObject([{ metadata: { uid: 'uid-1' }, spec: { assigned: [], letGo: ['gone'] } }])
  expect(created).toEqual(['docker.io/library/app:1', 'docker.io/library/other:1'])
  expect(rechecks).toEqual(['node-1'])
})

it('a failed recipe gets no NixBuild if the pods of its image have another one now', async () => {
  const { reconcile, created } = start(
    [{ ...buildOf('app:1'), state: 'Failed', buildJobName: 'run' }],
    somePod({ metadata: { annotations: { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-flakeUrl': 'github:team/new' } } }),
  )
  await reconcile('node-1')
  expect(created).toEqual([])
})
