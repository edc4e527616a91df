import { describe, expect, it } from 'vitest'
import { pods } from '../../../controller/views/pod.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { listRecipes } from '../../../shim/cluster/lookup/nixbuilds-of-image.ts'
import { useKube } from '../../kube/use-kube.ts'

/** Characters of the values. Together with the names they are as much as the API server accepts in one object's annotations. */
const MOST_ANNOTATIONS = 256 * 1024 - 64
/** As many as `deploy/base/nixbuild-admission.yaml` accepts. */
const MOST_OF_A_NIXBUILD = 16 * 1024 - 64
/** More than one page of a list. */
const COUNT = 24

const annotations = { 'example/large': 'x'.repeat(MOST_ANNOTATIONS) }
const names = Array.from({ length: COUNT }, (_, index) => `large-${index}`)

describe('objects of the largest size that the API server accepts', () => {
  it('do not prevent the controller from seeing every Pod', async () => {
    await using bed = await useKube()
    const { namespace } = bed.name
    const spec = { containers: [{ name: 'main', image: 'registry.example/large:1' }], nodeSelector: { no: 'node' } }
    const make = (name: string) => bed.kube.create(pods, { namespace, name, body: { metadata: { annotations }, spec } })
    await Promise.all(names.map(make))
    const found: string[] = []
    await bed.kube.list(pods, { namespace }, pod => found.push(pod.name))
    expect(found.toSorted()).toEqual(names.toSorted())
  })

  it('leave no annotations in the memory of a shim that looks up a recipe', async () => {
    await using bed = await useKube()
    const { namespace } = bed.name
    const image = 'registry.example/large:1'
    const spec = { flakeUrl: 'github:team/app', imageTag: image, packageName: 'app', system: 'x86_64-linux' }
    const metadata = { annotations: { 'example/large': 'x'.repeat(MOST_OF_A_NIXBUILD) } }
    const make = (name: string) => bed.kube.create(nixBuilds, { namespace, name, body: { metadata, spec } })
    await Promise.all(names.map(make))
    const found = await listRecipes(bed.kube, { namespace, image })
    expect(found.map(({ metadata }) => metadata.name).toSorted()).toEqual(names.toSorted())
    expect(JSON.stringify(found).length).toBeLessThan(COUNT * 1024)
  })
})
