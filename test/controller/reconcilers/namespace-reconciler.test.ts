import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import type { Kind } from '../../../kube/client/contract.ts'
import { CONTROLLER, MANAGED_BY_LABEL, nixBuildName, SHIM } from '../../../kube/resources/names.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { startBuilds, startPods } from '../state/start.ts'
import { someBuild } from '../views.ts'

const METADATA = { name: 'a', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
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

/** Images of the removed NixBuilds while an unwatched pod uses `used:1`, and how often pods were listed. */
async function sweep(
  creator: string | undefined,
  views = three(creator),
): Promise<{ removed: string[]; lists: number }> {
  const { builds, set } = startBuilds()
  for (const view of views) set(`team/${view.name}`, view)
  const removed: string[] = []
  let lists = 0
  const kube = {
    async list<T>(kind: Kind<T>, _selection: object, onItem: (item: T) => void): Promise<string> {
      lists += 1
      onItem(kind.parse({ metadata: METADATA, spec: { nodeName: 'n', containers: [{ name: 'a', image: 'used:1' }] } }))
      return '1'
    },
    async delete(_kind: unknown, { name }: { readonly name: string }) {
      removed.push(views.find(view => view.name === name)?.imageTag ?? '')
      set(`team/${name}`, undefined)
    },
  }
  const state = { builds, pods: startPods(new Map()).pods }
  const work = createNamespaceReconciler({ state, kube, limits: { keepFinished: 0, keepFinishedForMs: 1 } })
  await work('team')
  await work('team')
  return { removed: removed.sort(), lists }
}

it.each([
  ['by hand', undefined],
  ["by a shim, for an image's name", SHIM],
])('a finished NixBuild made %s stays while a pod that started long ago names its image', async (_, creator) => {
  expect(await sweep(creator)).toEqual({ removed: ['unused:1', 'unused:2'], lists: 1 })
})

it("pods are not listed for the controller's NixBuilds, as annotated pods are watched", async () => {
  expect(await sweep(CONTROLLER)).toEqual({ removed: ['unused:1', 'unused:2', 'used:1'], lists: 0 })
})

it('of many NixBuilds that a node creates for one image in use, only some are kept', async () => {
  const flood = Array.from({ length: 30 }, (_, n) => finished('used:1', SHIM, `p${n}`))
  expect((await sweep(SHIM, flood)).removed).toHaveLength(22)
})
