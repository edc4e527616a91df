import { describe, expect, it } from 'vitest'
import { CONTROLLER } from '../../kube/names.ts'
import { nixBuilds } from '../../kube/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../kube/nixbuild-recipe.ts'
import { createNixBuildStore } from '../../shim/report/nixbuild-store.ts'
import { useKube } from '../kube/use-kube.ts'
import { nixBuild } from './nixbuilds.ts'

const recipe = recipeOf(nixBuild())

async function begin() {
  const bed = await useKube()
  const { namespace } = bed.name
  const store = createNixBuildStore({ kube: async () => bed.kube, node: 'node-1' })
  const made = nixBuildOf(recipe, { namespace, managedBy: CONTROLLER })
  return { ...bed, namespace, store, made }
}

describe('the NixBuild of a recipe', () => {
  it('that somebody else makes at the same time is taken', async () => {
    await using bed = await begin()
    const { metadata } = await bed.kube.create(nixBuilds, bed.made)
    const found = await bed.store.create({ namespace: bed.namespace, recipe })
    expect(found.metadata.uid).toBe(metadata.uid)
  })

  it('cannot be made where another recipe has its name: that is refused, and not tried for ever', async () => {
    await using bed = await begin()
    const spec = { ...bed.made.body.spec, flakeUrl: 'github:team/other' }
    await bed.kube.create(nixBuilds, { ...bed.made, body: { ...bed.made.body, spec } })
    await expect(bed.store.create({ namespace: bed.namespace, recipe })).rejects.toMatchObject({
      code: 'ClusterRefused',
      message: expect.stringContaining(bed.made.name),
    })
  })
})
