import { expect, it } from 'vitest'
import { createPodReconciler } from '../../../controller/reconcilers/pod-reconciler.ts'
import { createNodeBuilds } from '../../../controller/state/node-builds.ts'
import { createNodes } from '../../../controller/state/nodes.ts'
import type { NixBuildView, RecipeView } from '../../../controller/views/nixbuild.ts'
import { MANAGED_BY_LABEL, nixBuildName, SHIM } from '../../../kube/resources/names.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { startBuilds, startPods } from '../../controller/state/start.ts'
import { READY_NODE, someBuild, somePod } from '../../controller/views.ts'

const SPEC = { flakeUrl: 'github:evil/app', imageTag: 'app:1', packageName: 'app', system: 'x86_64-linux' }
const KEY = 'team/web'

/** The changes that the controller sends for a pod of that node, whose image the NixBuild names. */
async function changes(build: NixBuildView, node: string): Promise<string[]> {
  const { builds, set: setBuild } = startBuilds()
  setBuild(`team/${build.name}`, build)
  const recipes = new Map<string, RecipeView[]>([[IMAGE, builds.recipesOf(IMAGE)]])
  const { pods, set: setPod } = startPods(new Map([[node, 'x86_64-linux']]), recipes)
  setPod(KEY, somePod({ metadata: { annotations: {} }, spec: { nodeName: node } }))
  const view = { ...READY_NODE, name: node }
  const nodes = createNodes({
    ...{ mirrored: () => view, allMirrored: () => [view], onChange: () => {}, now: Date.now },
    ...{ isFetchOnly: () => false, repels: () => false, tolerations: [] },
  })
  const done: string[] = []
  const kube = {
    async patch(_kind: unknown, { name }: { readonly name: string }): Promise<undefined> {
      done.push(name)
    },
  }
  const createNixBuild = async (): Promise<never> => {
    throw new Error('nothing is to be made')
  }
  const state = { pods, builds, nodes, nodeBuilds: createNodeBuilds() }
  const events = { record: () => {} }
  await createPodReconciler({ state, kube, createNixBuild, events, writesConditions: true })(KEY)
  return done
}

const IMAGE = 'team/docker.io/library/app:1'

it("the controller does not report a NixBuild of the recipe that a taken-over node names for others' image to pods of other nodes", async () => {
  const name = nixBuildName(recipeOf({ spec: SPEC }))
  const status = { status: 'Failed', buildNode: 'taken-over' }
  const forged = someBuild({ metadata: { name, labels: { [MANAGED_BY_LABEL]: SHIM } }, spec: SPEC, status })
  expect(await changes(forged, 'node-1')).toEqual([])
  expect(await changes(forged, 'taken-over')).toEqual(['web'])
})
