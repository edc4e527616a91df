import { pino } from 'pino'
import { expect, it } from 'vitest'
import { CONTROLLER } from '../../../kube/resources/names.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { createClusterReporter } from '../../../shim/cluster/cluster-reporter.ts'
import { createNixBuildStore } from '../../../shim/cluster/nixbuild-store.ts'
import { useKube } from '../../kube/use-kube.ts'
import { PATIENT } from '../../patience.ts'
import { NODE, nixBuild } from './builds/nixbuilds.ts'

it('a pull continues when its NixBuild is deleted and made again under another name', async () => {
  await using bed = await begin()
  const { kube, namespace, recipe, reporter } = bed
  const byHand = { namespace, name: 'by-hand' }
  await kube.create(nixBuilds, { ...byHand, body: { spec: nixBuild().spec } })
  reporter.waiting({ recipe, namespace, pod: { namespace, name: 'web', uid: 'web' } })
  reporter.started(recipe)
  await expect.poll(() => kube.get(nixBuilds, byHand), PATIENT).toMatchObject({ status: { status: 'Building' } })
  await kube.delete(nixBuilds, byHand)
  const [waited] = reporter.waitedFor()
  await expect(waited?.isGone()).resolves.toBe(true)
  const again = nixBuildOf(recipe, { namespace, managedBy: CONTROLLER })
  await kube.create(nixBuilds, again)
  await expect(waited?.isGone()).resolves.toBe(false)
  await expect
    .poll(() => kube.get(nixBuilds, again), PATIENT)
    .toMatchObject({ status: { status: 'Building', buildNode: NODE } })
})

async function begin() {
  const { kube, name, ...bed } = await useKube()
  const reporter = createClusterReporter({
    store: createNixBuildStore({ kube: async () => kube, node: NODE }),
    node: NODE,
    imageSize: async () => undefined,
    recordEvent: () => {},
    imagesChanged: () => {},
    onImage: () => {},
    logger: pino({ level: 'silent' }),
  })
  return {
    ...{ kube, reporter, namespace: name.namespace, recipe: recipeOf(nixBuild()) },
    async [Symbol.asyncDispose]() {
      await reporter.close(0)
      await bed[Symbol.asyncDispose]()
    },
  }
}
