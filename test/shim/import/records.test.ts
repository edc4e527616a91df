import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createImporter } from '../../../shim/import/importer.ts'
import { PATIENT, PATIENT_BY_PROGRAM } from '../../patience.ts'
import { dockerEntries, smallImage, type TestImage } from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { tar } from './tar.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

async function add(name: string): Promise<TestImage & { readonly path: string }> {
  const image = await smallImage(name)
  return { ...image, path: await node.addFile(name, await tar(dockerEntries(image))) }
}

describe('an existing image of the same name', () => {
  const OWNER = 'example/owner'
  const imageId = async (image: string) => (await node.bed.cri().imageStatus(image))?.id

  it("is not replaced if it is not the shim's, and nothing is left of the import", async () => {
    const image = 'registry.example/foreign:1'
    const [foreign, other] = [await add('foreign'), await add('not-wanted')]
    await node.importImage(foreign.path, { image })
    const before = await node.contents()
    await expect(node.importImage(other.path, { image, replaceForeign: false })).rejects.toMatchObject({
      code: 'ImageNotOurs',
      message: expect.stringContaining(`"${image}" that enbi-shim did not put there`),
    })
    expect(await node.contents()).toEqual(before)
    expect(await imageId(image)).toBe(foreign.id)
  })

  it("is replaced if it is not the shim's and the rule allows that", async () => {
    const image = 'registry.example/taken:1'
    await node.importImage((await add('taken')).path, { image })
    const other = await add('wanted')
    await node.importImage(other.path, { image, replaceForeign: true })
    expect(await imageId(image)).toBe(other.id)
  })

  it("is replaced if it is the shim's own", async () => {
    const image = 'registry.example/own:1'
    const call = { image, labels: { [OWNER]: 'one' }, replaceForeign: false }
    await node.importImage((await add('own-1')).path, call)
    const other = await add('own-2')
    await node.importImage(other.path, call)
    expect(await imageId(image)).toBe(other.id)
  })
})

it('a record that is removed before CRI knows the image is written again, and the pull fails if it is removed each time', async () => {
  const { path } = await add('removed')
  const image = 'registry.example/removed:1'
  // CRI does not read this namespace.
  const namespace = 'elsewhere'
  const { containerd } = node.options
  const importer = createImporter({ ...node.options, containerd: { ...containerd, namespace } })
  const failed = expect(node.importImage(path, { image }, importer)).rejects.toMatchObject({
    code: 'ImageNotVisible',
    retryable: true,
    message: `the image ${image} was removed from containerd 3 times before CRI knew it`,
  })
  const images = async (...args: string[]) =>
    (await node.bed.run('ctr', ['--address', containerd.address, '--namespace', namespace, 'images', ...args])).stdout
  for (const _ of ['first', 'second', 'third']) {
    await expect.poll(() => images('ls', '-q'), PATIENT_BY_PROGRAM).toContain(image)
    await images('rm', image)
  }
  await failed
})

it('the record of the same image id with another manifest is not changed', async () => {
  const [{ path, id }, other] = [await add('same-id'), await add('other-target')]
  await node.importImage(path, { image: 'registry.example/same-id:1' })
  await node.importImage(other.path, { image: 'registry.example/other-target:1' })
  await node.ctr('images', 'tag', '--force', 'registry.example/other-target:1', id)
  const target = async () => (await node.ctr('images', 'ls', `name==${id}`)).match(/sha256:[0-9a-f]{64}/g)?.at(1)
  const before = await target()
  await node.importImage(path, { image: 'registry.example/same-id:2' })
  expect(before).toBeDefined()
  expect(await target()).toBe(before)
})

it('an import that crashes before the image has its name leaves an image that CRI knows and removes', async () => {
  const { path, id } = await add('nameless')
  const image = 'registry.example/nameless:1'
  await node.importImage(path, { image })
  await node.ctr('images', 'rm', '--sync', image)
  expect((await node.contents()).images).toContain(id)
  await expect.poll(() => node.bed.cri().imageStatus(image), PATIENT).toBeFalsy()
  await node.bed.cri().removeImage(id)
  const { images, blobs } = await node.contents()
  expect([...(images ?? []), ...(blobs ?? [])]).not.toContain(id)
})
