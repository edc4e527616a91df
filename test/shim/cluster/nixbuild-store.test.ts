import { describe, expect, it } from 'vitest'
import type { Kube } from '../../../kube/client/contract.ts'
import { CONTROLLER, nixBuildName, nixBuildNames } from '../../../kube/resources/names.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { createNixBuildStore } from '../../../shim/cluster/nixbuild-store.ts'
import { useKube } from '../../kube/use-kube.ts'
import { nixBuild } from './builds/nixbuilds.ts'

const recipe = recipeOf(nixBuild())

async function begin() {
  const bed = await useKube()
  const { namespace } = bed.name
  const store = createNixBuildStore({ kube: async () => bed.kube, node: 'node-1' })
  const made = nixBuildOf(recipe, { namespace, managedBy: CONTROLLER })
  const spec = { ...made.body.spec, flakeUrl: 'github:team/other' }
  const squat = (name: string) => bed.kube.create(nixBuilds, { namespace, name, body: { ...made.body, spec } })
  return { ...bed, namespace, store, made, squat }
}

describe('the NixBuild of a recipe', () => {
  it('is used if another client creates it at the same time', async () => {
    await using bed = await begin()
    const { metadata } = await bed.kube.create(nixBuilds, bed.made)
    const found = await bed.store.create({ namespace: bed.namespace, recipe })
    expect(found.metadata.uid).toBe(metadata.uid)
  })

  it('gets another name if another recipe has the first one, and is found by that name', async () => {
    await using bed = await begin()
    await bed.squat(nixBuildName(recipe))
    const { namespace } = bed
    const made = await bed.store.create({ namespace, recipe })
    expect(made.metadata.name).toBe(nixBuildNames(recipe)[1])
    const [found, again] = [await bed.store.find({ namespace, recipe }), await bed.store.create({ namespace, recipe })]
    expect([found?.metadata.uid, again.metadata.uid]).toEqual([made.metadata.uid, made.metadata.uid])
  })

  it('is refused if other recipes have all its names', async () => {
    await using bed = await begin()
    await Promise.all(nixBuildNames(recipe).map(bed.squat))
    await expect(bed.store.create({ namespace: bed.namespace, recipe })).rejects.toMatchObject({
      code: 'ClusterRefused',
      message: expect.stringContaining(bed.made.name),
    })
  })

  it('is not searched for among more NixBuilds of its image than can be read in bounded time', async () => {
    const { kube, asked } = endless()
    const store = createNixBuildStore({ kube: async () => kube, node: 'node-1' })
    await expect(store.find({ namespace: 'team', recipe })).rejects.toMatchObject({ code: 'ClusterRefused' })
    expect(asked()).toBeLessThan(1000)
  })
})

/** What a tenant has filled with NixBuilds of the image. */
function endless() {
  let count = 0
  const other = nixBuild({ spec: { flakeUrl: 'github:team/other' } })
  const no = () => Promise.reject(new Error('not asked for'))
  const kube: Kube = {
    ...{ create: no, patch: no, replace: no, delete: no, close: no },
    get: async () => undefined,
    async list(kind, _selection, onItem) {
      for (; count < 100_000; count += 1)
        onItem(kind.parse({ ...other, metadata: { ...other.metadata, name: `web-${count}` } }))
      return '1'
    },
    async *watch() {},
  }
  return { kube, asked: () => count }
}
