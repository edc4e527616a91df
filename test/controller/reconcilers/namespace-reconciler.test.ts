import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import { CONTROLLER, MANAGED_BY_LABEL, nixBuildName, SHIM } from '../../../kube/resources/names.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { startBuilds, startPods } from '../state/start.ts'
import { someBuild, somePod } from '../views.ts'

const OLD_POD = somePod({
  metadata: { name: 'old', annotations: {} },
  spec: { containers: [{ name: 'a', image: 'used:1' }] },
  status: { containerStatuses: [{ name: 'a', image: 'docker.io/library/used:1', imageID: 'sha256:1' }] },
})
const SPEC = { flakeUrl: 'github:team/app', packageName: 'app', system: 'x86_64-linux' }

function finished(imageTag: string, creator: string | undefined, packageName = 'app') {
  const spec = { ...SPEC, imageTag, packageName }
  const name = nixBuildName(recipeOf({ spec }))
  const labels = creator === undefined ? {} : { [MANAGED_BY_LABEL]: creator }
  return someBuild({
    metadata: { name, uid: name, labels },
    spec,
    status: { status: 'Succeeded' },
  })
}

const three = (creator: string | undefined) => ['used:1', 'unused:1', 'unused:2'].map(image => finished(image, creator))

/** Images of the removed NixBuilds while a pod that started long ago uses `used:1`. */
async function sweep(creator: string | undefined, views = three(creator)): Promise<string[]> {
  const { builds, set } = startBuilds()
  for (const view of views) set(`team/${view.name}`, view)
  const { pods, set: setPod } = startPods(new Map())
  setPod('team/old', pods.kept('team/old', OLD_POD))
  const removed: string[] = []
  const kube = {
    async delete(_kind: unknown, { name }: { readonly name: string }) {
      removed.push(views.find(view => view.name === name)?.imageTag ?? '')
      set(`team/${name}`, undefined)
    },
  }
  const state = { builds, pods }
  const work = createNamespaceReconciler({ state, kube, limits: { keepFinished: 0, keepFinishedForMs: 1 } })
  await work('team')
  await work('team')
  return removed.sort()
}

it.each([
  ['by hand', undefined],
  ["for an image's name", SHIM],
])('a finished NixBuild made %s stays while a pod that started long ago names its image', async (_, creator) => {
  expect(await sweep(creator)).toEqual(['unused:1', 'unused:2'])
})

it("a finished NixBuild of the controller's stays only for annotated pods", async () => {
  expect(await sweep(CONTROLLER)).toEqual(['unused:1', 'unused:2', 'used:1'])
})

it('of many NixBuilds that a node names for one image in use, only some are kept', async () => {
  const flood = Array.from({ length: 30 }, (_, n) => finished('used:1', SHIM, `p${n}`))
  expect(await sweep(SHIM, flood)).toHaveLength(22)
})
