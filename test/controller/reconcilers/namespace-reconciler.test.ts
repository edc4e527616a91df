import { expect, it } from 'vitest'
import { createNamespaceReconciler } from '../../../controller/reconcilers/namespace-reconciler.ts'
import type { Kind } from '../../../kube/client/contract.ts'
import { CONTROLLER, MANAGED_BY_LABEL, nixBuildName, SHIM } from '../../../kube/resources/names.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { startBuilds, startPods } from '../state/start.ts'
import { someBuild } from '../views.ts'

const METADATA = { name: 'a', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const SPEC = { flakeUrl: 'github:team/app', packageName: 'app', system: 'x86_64-linux' }

function finished(imageTag: string, maker: string | undefined, packageName = 'app') {
  const spec = { ...SPEC, imageTag, packageName }
  const name = nixBuildName(recipeOf({ spec }))
  const labels = maker === undefined ? {} : { [MANAGED_BY_LABEL]: maker }
  return someBuild({
    metadata: { name, uid: name, labels },
    spec,
    status: { status: 'Succeeded' },
  })
}

const three = (maker: string | undefined) => ['used:1', 'unused:1', 'unused:2'].map(image => finished(image, maker))

/** Images of the finished NixBuilds that are removed, while a pod that is not watched uses `used:1`; how often pods were listed. */
async function sweep(maker: string | undefined, views = three(maker)): Promise<{ removed: string[]; lists: number }> {
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
  ['by a shim, for the name of an image', SHIM],
])('a finished NixBuild made %s stays while a pod that started long ago names its image', async (_, maker) => {
  expect(await sweep(maker)).toEqual({ removed: ['unused:1', 'unused:2'], lists: 1 })
})

it('pods are not listed for NixBuilds that the controller made: it knows the annotated pods', async () => {
  expect(await sweep(CONTROLLER)).toEqual({ removed: ['unused:1', 'unused:2', 'used:1'], lists: 0 })
})

it('a flood of NixBuilds that a node makes for an image which pods use is kept in part only', async () => {
  const flood = Array.from({ length: 30 }, (_, n) => finished('used:1', SHIM, `p${n}`))
  expect((await sweep(SHIM, flood)).removed).toHaveLength(22)
})
