import { expect, it, vi } from 'vitest'
import { nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import { listRecipes } from '../../../../shim/cluster/lookup/nixbuilds-of-image.ts'
import { useKube } from '../../../kube/use-kube.ts'

const IMAGE = 'docker.io/library/app:latest'
const SPELLINGS = ['app', 'library/app:latest', 'docker.io/app', IMAGE]

it.each([
  ['one request in a namespace with few NixBuilds', 1, 1],
  ['one request for each spelling beyond that', 20, 9],
])('the NixBuilds of an image are found in any spelling, with %s', async (_, others, requests) => {
  await using bed = await useKube()
  const { namespace } = bed.name
  const otherTags = Array.from({ length: others }, (_, index) => `app:${index}`)
  const make = (imageTag: string, index: number) => {
    const spec = { flakeUrl: 'github:team/app', imageTag, packageName: 'app', system: 'x86_64-linux' }
    return bed.kube.create(nixBuilds, { namespace, name: `app-${index}`, body: { spec } })
  }
  await Promise.all([...SPELLINGS, ...otherTags].map(make))
  const list = vi.fn(bed.kube.list)
  const found = await listRecipes({ list }, { namespace, image: IMAGE })
  expect(found.map(({ spec }) => spec.imageTag).toSorted()).toEqual(SPELLINGS.toSorted())
  expect(list).toHaveBeenCalledTimes(requests)
})
