import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createImporter } from '../../../shim/import/importer.ts'
import {
  busyboxImage,
  digest,
  dockerEntries,
  dockerEntriesOf,
  dockerManifest,
  hex,
  MOUNT_POINTS,
  makeImage,
  mergeDockerManifests,
  ociEntries,
  ociEntriesOf,
  smallImage,
} from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { type Entry, tar } from './tar.ts'
import { xz } from './xz.ts'

let node: ImportNode
beforeAll(async () => {
  node = await startImportNode()
})
afterAll(() => node[Symbol.asyncDispose]())

const COMPRESSIONS: readonly [string, (bytes: Buffer) => Buffer][] = [
  ['none', bytes => bytes],
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
  ['xz', xz],
]

const FORMS: readonly [string, (entries: { docker: Entry[]; oci: Entry[] }) => Entry[]][] = [
  ['docker-archive', ({ docker }) => docker],
  ['OCI archive', ({ oci }) => oci],
]

describe('an archive', () => {
  for (const [form, choose] of FORMS) {
    it.each(COMPRESSIONS)(`is recognized by content: ${form}, compression %s`, async (compression, compress) => {
      const image = await smallImage(`${form} ${compression}`)
      const bytes = compress(await tar(choose({ docker: dockerEntries(image), oci: ociEntries(image) })))
      const path = await node.addFile(`misnamed-${form}-${compression}.txt`, bytes)
      const { imageId } = await node.importImage(path)
      expect(imageId).toBe(image.id)
      const status = await node.bed.cri().imageStatus('registry.example/team/app:1')
      expect(status).toMatchObject({ id: image.id, size: expect.any(Number) })
      expect(status?.size).toBeGreaterThan(0)
    })
  }
})

describe('a container runs from', () => {
  const run = async (storePath: string) => {
    const { imageId } = await node.importImage(storePath)
    return node.bed.runPod({ imageId })
  }

  it('a docker-archive', async () => {
    const path = await node.addFile('run-docker', await tar(dockerEntries(await busyboxImage('from docker'))))
    expect(await run(path)).toEqual({ output: expect.stringContaining('from docker'), exitCode: 0 })
  })

  it('an OCI folder with compressed layers', async () => {
    const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
    const entries = ociEntries(await busyboxImage('from a folder'), { compress: gzipSync, layerType })
    expect(await run(await node.addFolder('run-oci', entries))).toMatchObject({
      output: expect.stringContaining('from a folder'),
    })
  })

  it('an archive that a program wrote', async () => {
    const shell = await node.addFile('sh', '', 0o555)
    const storePath = await node.addFile('stream-script', `#!${shell}\n`, 0o555)
    expect(await node.tryImport(storePath)).toMatchObject({ program: { path: storePath } })
    const archive = await node.addFile('streamed', await tar(dockerEntries(await busyboxImage('from a program'))))
    const { imageId } = await node.importImage(storePath, { archive })
    expect(await node.bed.runPod({ imageId })).toMatchObject({ output: expect.stringContaining('from a program') })
    // Its output is remembered by the program: it need not run again while containerd has the layers.
    await writeFile(archive, '')
    expect(await node.importImage(storePath)).toMatchObject({ imageId })
  })
})

describe('a docker-archive', () => {
  it('may have its manifest in front', async () => {
    const image = await smallImage('manifest first')
    const path = await node.addFile('manifest-first', await tar(dockerEntries(image).reverse()))
    expect((await node.importImage(path)).imageId).toBe(image.id)
  })

  it('may have its layers in another order than the image', async () => {
    const image = await busyboxImage('shuffled')
    const [first, second, ...rest] = dockerEntries(image)
    const path = await node.addFile('shuffled', await tar([second, first, ...rest].flatMap(entry => entry ?? [])))
    const { imageId } = await node.importImage(path)
    expect(await node.bed.runPod({ imageId })).toMatchObject({ exitCode: 0 })
  })

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const)('may have layers that are compressed with %s', async (compression, compress) => {
    const image = await smallImage(`compressed layers ${compression}`)
    const entries = dockerEntries(image).map(entry =>
      entry.name.endsWith('layer.tar') && Buffer.isBuffer(entry.content)
        ? { ...entry, content: compress(entry.content) }
        : entry,
    )
    const path = await node.addFile(`layers-${compression}`, await tar(entries))
    expect((await node.importImage(path)).imageId).toBe(image.id)
  })

  it('may lead to its layers by links, as those of older docker saves do', async () => {
    const layer = await tar([{ name: 'file', content: 'linked' }])
    const image = makeImage([layer, layer])
    const path = await node.addFile(
      'links',
      await tar([
        { name: 'aaa/VERSION', content: '1.0' },
        { name: 'aaa/layer.tar', content: layer },
        { name: 'bbb/layer.tar', symlink: '../aaa/layer.tar' },
        { name: 'config.json', content: image.config },
        { name: 'manifest.json', content: dockerManifest('config.json', ['aaa/layer.tar', 'bbb/layer.tar']) },
      ]),
    )
    expect((await node.importImage(path)).imageId).toBe(image.id)
  })

  it('may have a layer of empty store paths if another layer has content', async () => {
    const image = makeImage([await tar([{ name: 'text', content: 'of a base image' }]), await tar(MOUNT_POINTS)])
    const path = await node.addFile('empty-store-paths', await tar(dockerEntries(image)))
    expect((await node.importImage(path)).imageId).toBe(image.id)
  })

  it('gets the same manifest every time', async () => {
    const path = await node.addFile('same-manifest', await tar(dockerEntries(await smallImage('same'))))
    const first = await node.importImage(path)
    await node.emptyImageCache()
    expect((await node.importImage(path)).manifestDigest).toBe(first.manifestDigest)
  })

  it('keeps its own manifest if it is an OCI archive too, as those of newer docker saves are', async () => {
    const image = await smallImage('both')
    const layers = image.layers.map(layer => `blobs/sha256/${hex(layer)}`)
    const manifest = dockerManifest(`blobs/sha256/${hex(image.config)}`, layers)
    const oci = ociEntries(image)
    const path = await node.addFile('both', await tar([...oci, { name: 'manifest.json', content: manifest }]))
    const index = oci.at(-1)?.content
    const { manifestDigest } = await node.importImage(path)
    expect(String(index)).toContain(manifestDigest)
  })
})

describe('an OCI layout', () => {
  it('may have its manifest below nested indexes', async () => {
    const image = await smallImage('nested')
    const path = await node.addFolder('nested', ociEntries(image, { nested: 2 }))
    expect((await node.importImage(path)).imageId).toBe(image.id)
  })

  it('gives the image for this platform out of several', async () => {
    const here = ociEntries(await smallImage('here'))
    const elsewhere = { os: 'linux', architecture: 's390x' }
    const there = ociEntries(await smallImage('there', elsewhere), { platform: elsewhere })
    const manifests = [here, there].flatMap(entries => JSON.parse(String(entries.at(-1)?.content)).manifests)
    const blobs = [...here, ...there].filter(({ name }) => name.startsWith('blobs/'))
    const index = { name: 'index.json', content: JSON.stringify({ schemaVersion: 2, manifests }) }
    const layout = { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' }
    const path = await node.addFolder('platforms', [layout, index, ...blobs])
    expect((await node.importImage(path)).manifestDigest).toBe(manifests[0].digest)
  })
})

describe('an archive of several images', () => {
  const images = async (kind: string) => {
    const [web, db] = [await smallImage(`${kind} web`), await smallImage(`${kind} db`)]
    return { web, db, docker: dockerEntriesOf({ 'example/web:1': web, 'registry.example/db': db }) }
  }
  const names = { web: 'docker.io/example/web:1', db: 'registry.example/db:latest' }
  const annotated = ({ web, db }: Awaited<ReturnType<typeof images>>) =>
    ociEntriesOf([
      [web, { 'io.containerd.image.name': 'docker.io/example/web:1', 'org.opencontainers.image.ref.name': '1' }],
      [db, { 'org.opencontainers.image.ref.name': 'registry.example/db' }],
    ])

  it.each([
    ['docker-archive', async (made: Awaited<ReturnType<typeof images>>) => tar(made.docker)],
    ['OCI archive', async (made: Awaited<ReturnType<typeof images>>) => tar(annotated(made))],
    [
      'archive of both forms',
      async (made: Awaited<ReturnType<typeof images>>) => {
        const manifests = Object.entries({ 'example/web:1': made.web, 'registry.example/db': made.db }).map(
          ([name, { layers, config }]) =>
            dockerManifest(
              `blobs/sha256/${hex(config)}`,
              layers.map(layer => `blobs/sha256/${hex(layer)}`),
              [name],
            ),
        )
        return tar([...annotated(made), mergeDockerManifests(manifests)])
      },
    ],
  ])('gives each image by its name, whichever was pulled before: %s', async (kind, archive) => {
    const made = await images(kind)
    const path = await node.addFile(`several-${kind}`, await archive(made))
    for (const _round of ['read', 'remembered']) {
      expect(await node.importImage(path, { image: names.web })).toMatchObject({ imageId: made.web.id })
      expect(await node.importImage(path, { image: names.db })).toMatchObject({ imageId: made.db.id })
    }
    const error = {
      code: 'ArchiveInvalid',
      message: expect.stringMatching(/holds 2 images.*web:1.*registry\.example\/db/),
    }
    await expect(node.importImage(path, { image: 'docker.io/example/web:2' })).rejects.toMatchObject(error)
    await node.emptyImageCache()
    await expect(node.importImage(path, { image: 'docker.io/example/web:2' })).rejects.toMatchObject(error)
  })

  it('is searched by name first if the images are for several platforms', async () => {
    const here = await smallImage('for this machine')
    const there = await smallImage('for another', { architecture: 's390x' })
    const name = 'org.opencontainers.image.ref.name'
    const entries = ociEntriesOf([
      [here, { [name]: 'example/web:1' }],
      [there, { [name]: 'example/db:1' }],
    ])
    const path = await node.addFile('machines', await tar(entries))
    expect(await node.importImage(path, { image: 'docker.io/other/name:1' })).toMatchObject({ imageId: here.id })
    const error = { code: 'ArchitectureMismatch' }
    await expect(node.importImage(path, { image: 'docker.io/example/db:1' })).rejects.toMatchObject(error)
  })

  it('gives the image of the repository for a reference with a digest', async () => {
    const made = await images('pinned')
    const path = await node.addFile('several-pinned', await tar(made.docker))
    const { manifestDigest } = await node.importImage(path, { image: names.web })
    const pinned = `docker.io/example/web@${manifestDigest}`
    expect(await node.importImage(path, { image: pinned })).toMatchObject({ imageId: made.web.id })
  })
})

describe('the image record', () => {
  it('has the labels of the call and the one that CRI requires', async () => {
    const path = await node.addFile('labels', await tar(dockerEntries(await smallImage('labels'))))
    await node.importImage(path, { image: 'registry.example/labels:1', labels: { 'example/recipe': 'abc' } })
    const listed = await node.ctr('images', 'ls', 'name==registry.example/labels:1')
    expect(listed).toContain('example/recipe=abc')
    expect(listed).toContain('io.cri-containerd.image=managed')
  })

  it('keeps everything when containerd collects garbage', async () => {
    const image = await busyboxImage('held')
    const path = await node.addFile('held', await tar(dockerEntries(image)))
    const { imageId } = await node.importImage(path)
    await node.collect()
    for (const blob of [...image.layers.map(digest), image.id]) expect((await node.contents()).blobs).toContain(blob)
    expect(await node.bed.runPod({ imageId })).toMatchObject({ exitCode: 0 })
  })

  it('comes with blobs that all name the registry and repository in tar mode, and with a record of its digest', async () => {
    const image = await smallImage('sources')
    const path = await node.addFile('sources', await tar(dockerEntries(image)))
    const repository = 'registry.example:5000/team/sources'
    const label = 'containerd.io/distribution.source.registry.example=team/sources'
    const blobs = async () => (await node.ctr('content', 'ls')).split('\n').filter(line => line.includes(label))
    const call = { image: `${repository}:1` }
    await node.importImage(path, call)
    expect(await blobs()).toEqual([])
    expect((await node.contents()).images).not.toContainEqual(expect.stringContaining(`${repository}@`))

    const { manifestDigest } = await node.importImage(path, call, createImporter({ ...node.options, layers: 'tar' }))
    const listed = (await blobs()).join()
    for (const blob of [...image.layers.map(digest), image.id, manifestDigest]) expect(listed).toContain(blob)
    expect((await node.contents()).images).toContain(`${repository}@${manifestDigest}`)
  })

  it('is made for a reference with a digest only if the manifest has that digest', async () => {
    const path = await node.addFile('pinned', await tar(dockerEntries(await smallImage('pinned'))))
    const { manifestDigest } = await node.importImage(path)
    const pinned = `registry.example/pinned@${manifestDigest}`
    expect(await node.importImage(path, { image: pinned })).toMatchObject({ manifestDigest })
    const other = `registry.example/pinned@${digest(Buffer.from('other'))}`
    await expect(node.importImage(path, { image: other })).rejects.toThrow(/manifest .* asks for/)
  })
})

it('follows a store path that is a link to another', async () => {
  const image = await smallImage('followed')
  await node.addFile('real-output', await tar(dockerEntries(image)))
  const link = join(node.bed.dir, 'store', 'link')
  await node.bed.run('ln', ['-s', 'real-output', link])
  expect((await node.importImage(link)).imageId).toBe(image.id)
})
