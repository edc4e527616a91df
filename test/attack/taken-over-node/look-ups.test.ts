import { expect, it } from 'vitest'
import { SHIM } from '../../../kube/resources/names.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { listRecipes } from '../../../shim/cluster/lookup/nixbuilds-of-image.ts'
import { useKube } from '../../kube/use-kube.ts'
import { nixBuild } from '../../shim/cluster/nixbuilds.ts'

/** One more than a look-up of an image reads. */
const COUNT = 501
const AT_A_TIME = 50

it("a look-up of an image skips the NixBuilds that the shim of a taken-over node created for others' image", async () => {
  await using bed = await useKube()
  const { namespace } = bed.name
  const recipe = recipeOf(nixBuild())
  const byHand = await bed.kube.create(nixBuilds, {
    namespace,
    name: 'by-hand',
    body: { spec: nixBuildOf(recipe, { namespace, managedBy: SHIM }).body.spec },
  })
  const packages = Array.from({ length: COUNT }, (_, index) => `package-${index}`)
  while (packages.length > 0) {
    const made = packages.splice(0, AT_A_TIME).map(packageName => {
      return nixBuildOf({ ...recipe, packageName }, { namespace, managedBy: SHIM })
    })
    await Promise.all(made.map(one => bed.kube.create(nixBuilds, one)))
  }
  const found = await listRecipes(bed.kube, { namespace, image: recipe.image })
  expect(found.map(({ metadata }) => metadata.name)).toEqual([byHand.metadata.name])
})
