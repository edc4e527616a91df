import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  blobEntry,
  describe as descriptor,
  digest,
  dockerEntries,
  dockerManifest,
  indexOf,
  MOUNT_POINTS,
  makeImage,
  ociEntries,
  smallImage,
  type TestImage,
} from './image.ts'
import { type ImportNode, startImportNode } from './import-node.ts'
import { type Entry, tar } from './tar.ts'

let node: ImportNode
let image: TestImage
let untouched: Awaited<ReturnType<ImportNode['contents']>>
beforeAll(async () => {
  node = await startImportNode()
  image = await smallImage('hostile')
  untouched = await node.contents()
})
afterAll(() => node[Symbol.asyncDispose]())

/** The import must fail with that error, and leave containerd unchanged. */
async function expectRefused(storePath: string, error: object): Promise<void> {
  await expect(node.importImage(storePath)).rejects.toMatchObject({ retryable: false, ...error })
  expect(await node.contents()).toEqual(untouched)
}

const invalid = (message: RegExp) => ({ code: 'ArchiveInvalid', message: expect.stringMatching(message) })
/** nix-snapshotter's mark of a layer of mount points; other annotations name what to mount. */
const NIX_LAYER = { 'containerd.io/snapshot/nix-layer': 'true' }
let files = 0
const addTar = async (entries: readonly Entry[], change = (bytes: Buffer) => bytes) => {
  files += 1
  return node.addFile(`archive-${files}`, change(await tar(entries)))
}

describe('an archive is rejected, and leaves nothing behind, if', () => {
  const docker = () => dockerEntries(image)
  const oci = () => ociEntries(image)

  it.each<[string, () => readonly Entry[], RegExp]>([
    ['it holds a name with ".."', () => [...docker(), { name: 'a/../../etc/passwd' }], /a name with "\.\."/],
    ['it holds an absolute name', () => [{ name: '/etc/passwd', content: 'x' }, ...docker()], /an absolute name/],
    [
      'a symlink leads out of it',
      () => [...docker(), { name: 'a/b', symlink: '../../x' }],
      /symlink out of the archive/,
    ],
    ['a symlink is absolute', () => [...docker(), { name: 'a', symlink: '/etc/passwd' }], /symlink out of the archive/],
    ['a hard link leads out of it', () => [...docker(), { name: 'a', link: '../x' }], /a name with "\.\."/],
    ['it holds a fifo', () => [...docker(), { name: 'a', type: 'fifo' }], /neither file, folder nor link/],
    ['links go in a circle', () => [...circle('manifest.json')], /links in a circle/],
    ['it has no manifest', () => docker().slice(0, -1), /neither manifest\.json nor/],
    ['it is empty', () => [{ name: 'folder', type: 'directory' }], /neither manifest\.json nor/],
    ['it holds two images', () => twoImages(), /2 images/],
    ['it lists no image', () => [{ name: 'manifest.json', content: '[]' }], /without an image/],
    ['its manifest is not JSON', () => [{ name: 'manifest.json', content: '[{' }], /not JSON/],
    ['its manifest has another form', () => [{ name: 'manifest.json', content: '[{"Config": 7}]' }], /unexpected form/],
    ['its manifest is no text', () => [{ name: 'manifest.json', content: Buffer.alloc(5_000_000, 1) }], /not JSON/],
    ['its manifest is huge', () => [{ name: 'manifest.json', content: `[${' '.repeat(5_000_000)}]` }], /longer than/],
    ['its config is not JSON', () => withConfig('layers, and so on'), /not JSON/],
    ['its config is an array', () => withConfig('[]'), /unexpected form/],
    ['its config has too many layers', () => withConfig(manyLayers()), /more than 500 layers/],
    ['its config has a user of 5 kB', () => withConfig(longUser()), /"User" has 5000 characters/],
    ['its config is missing', () => docker().filter(({ name }) => !name.match(/[0-9a-f]\.json/)), /lacks the config/],
    ['a layer is missing', () => docker().slice(1), /lacks a layer/],
    ['a layer is not what the config promises', () => swappedLayer(), /unpacks to/],
    ['a layer is no tar', () => brokenLayer(), /damaged/],
    ['manifest and config differ in number', () => extraLayer(), /lists 2 layers/],
    ['two files have one name', () => [{ name: 'manifest.json', content: '[]' }, ...docker()], /two different files/],
    ['it has too many entries', () => manyEntries(), /more than 10000 entries/],
    ['all its documents together are huge', () => manyDocuments(), /documents of more than/],
    ['a layer has a wrong digest', () => oci().map(emptied), /wrong digest/],
    ['a manifest has a wrong digest', () => oci().map(padded), /wrong digest/],
    ['an index leads to indexes without end', () => ociEntries(image, { nested: 9 }), /indexes within indexes/],
    ['a manifest is an index, too', () => ociEntries(image, { manifest: { manifests: [{}] } }), /unexpected form/],
    ['a manifest has its layers twice', () => ociEntries(image, { manifest: { Layers: [] } }), /read in two ways/],
    ['an index lists two images', () => twoManifests(), /2 images/],
    ['an index leads to more indexes than can be read', () => manyPaths(), /without an image/],
    [
      'an index lists none',
      () => [oci()[0] ?? [], { name: 'index.json', content: indexOf([]) }].flat(),
      /without an image/,
    ],
    [
      'a layer has an unknown type',
      () => ociEntries(image, { layerType: 'text/plain' }),
      /type that cannot be unpacked/,
    ],
  ])('%s', async (_, entries, message) => {
    await expectRefused(await addTar(entries()), invalid(message))
  })

  it.each([
    ['docker-archive', (hollow: TestImage) => dockerEntries(hollow)],
    ['OCI archive', (hollow: TestImage) => ociEntries(hollow)],
    ['OCI archive with the mark alone', (hollow: TestImage) => ociEntries(hollow, { layerAnnotations: NIX_LAYER })],
  ])(
    'it has empty folders in place of store paths, and no annotation names what belongs there: %s',
    async (_, entries) => {
      const path = await addTar(entries(makeImage([await tar(MOUNT_POINTS)])))
      await expectRefused(path, invalid(/nix-snapshotter whose annotations were lost/))
    },
  )

  it.each([
    ['in a header', 100],
    ['in a layer', 1_000],
    ['before its manifest', 3_000],
  ])('it is cut short %s', async (_, length) => {
    const path = await addTar(docker(), bytes => bytes.subarray(0, length))
    await expectRefused(path, length < 512 ? { code: 'NotAnImage' } : invalid(/cut short|neither/))
  })

  it('its compressed bytes are cut short', async () => {
    const path = await addTar(docker(), bytes => gzipSync(bytes).subarray(0, 200))
    await expectRefused(path, invalid(/damaged or cut short/))
  })

  it('its bytes are damaged', async () => {
    const path = await addTar(docker(), bytes => Buffer.concat([bytes.subarray(0, 512 * 5), Buffer.alloc(2048, 0xaa)]))
    await expectRefused(path, invalid(/damaged|cut short/))
  })

  it.each([
    ['docker-archive', (other: TestImage) => dockerEntries(other)],
    ['OCI archive', (other: TestImage) => ociEntries(other)],
    ['OCI archive that says so', (other: TestImage) => ociEntries(other, { platform: ELSEWHERE })],
  ] as const)('it is for another architecture: %s', async (_, entries) => {
    const path = await addTar(entries(await smallImage('elsewhere', ELSEWHERE)))
    await expectRefused(path, {
      code: 'ArchitectureMismatch',
      message: expect.stringMatching(/for linux\/s390x, this node is linux\/\w+/),
    })
  })

  const circle = (name: string): Entry[] => [
    { name, symlink: 'other' },
    { name: 'other', symlink: name },
  ]
  const withConfig = (config: string): Entry[] => [
    { name: 'config.json', content: config },
    { name: 'manifest.json', content: dockerManifest('config.json', []) },
  ]
  const manyLayers = () =>
    makeImage([], { diffIds: Array.from({ length: 501 }, () => digest(Buffer.from(''))) }).config.toString()
  const longUser = () =>
    JSON.stringify({ ...JSON.parse(makeImage([]).config.toString()), config: { User: 'u'.repeat(5000) } })
  const twoImages = (): Entry[] => {
    const [first] = JSON.parse(dockerManifest('a.json', []))
    const [second] = JSON.parse(dockerManifest('b.json', []))
    return [{ name: 'manifest.json', content: JSON.stringify([first, second]) }]
  }
  const swappedLayer = (): Entry[] => {
    const { config } = makeImage(image.layers, { diffIds: [digest(Buffer.from('another'))] })
    return [
      { name: 'layer.tar', content: image.layers[0] ?? '' },
      { name: 'config.json', content: config },
      { name: 'manifest.json', content: dockerManifest('config.json', ['layer.tar']) },
    ]
  }
  const brokenLayer = (): Entry[] => dockerEntries(makeImage([Buffer.alloc(100_000, 'no tar')]))
  const extraLayer = (): Entry[] => [
    ...docker().slice(0, -1),
    { name: 'manifest.json', content: dockerManifest(docker().at(-2)?.name ?? '', ['a', 'b']) },
  ]
  const manyEntries = (): Entry[] => Array.from({ length: 10_001 }, (_, index) => ({ name: `file-${index}` }))
  const manyDocuments = (): Entry[] =>
    Array.from({ length: 9 }, (_, index) => ({ name: `${index}.json`, content: `{${' '.repeat(4_000_000)}}` }))
  /** A hundred million entries, in five files. */
  const manyPaths = (): Entry[] => {
    const indexes = [indexOf([])]
    for (let depth = 0; depth < 4; depth += 1) {
      const [nested = Buffer.of()] = indexes
      const listed = descriptor('application/vnd.oci.image.index.v1+json', nested)
      indexes.unshift(indexOf(Array.from({ length: 100 }, () => listed)))
    }
    const [index = Buffer.of(), ...blobs] = indexes
    return [...oci().slice(0, 1), ...blobs.map(blobEntry), { name: 'index.json', content: index }]
  }
  const isLayer = ({ name }: Entry) => name.endsWith(digest(image.layers[0] ?? Buffer.of()).slice('sha256:'.length))
  const emptied = (entry: Entry) => (isLayer(entry) ? { ...entry, content: Buffer.alloc(1024) } : entry)
  const padded = (entry: Entry) =>
    String(entry.content).includes('schemaVersion') && entry.name.startsWith('blobs')
      ? { ...entry, content: `${entry.content} ` }
      : entry
  const twoManifests = (): Entry[] => {
    const manifests = [oci(), ociEntries(image, { layerType: 'application/vnd.oci.image.layer.v1.tar+gzip' })]
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const blobs = manifests.map(entries => Buffer.from(entries.at(-2)?.content ?? ''))
    const index = indexOf(blobs.map(blob => descriptor(type, blob)))
    return [...oci().slice(0, -1), ...blobs.slice(1).map(blobEntry), { name: 'index.json', content: index }]
  }
})

const ELSEWHERE = { os: 'linux', architecture: 's390x' }

describe('a build result is not an image if it is', () => {
  const notAnImage = (message: RegExp) => ({ code: 'NotAnImage', message: expect.stringMatching(message) })

  it('a text', async () => {
    await expectRefused(await node.addFile('text', 'hello'), notAnImage(/a file, but not an archive/))
  })

  it('an empty file', async () => {
    await expectRefused(await node.addFile('empty', ''), notAnImage(/a file, but not an archive/))
  })

  it('a script that may not be executed', async () => {
    await expectRefused(await node.addFile('not-executable', '#!/bin/sh\n', 0o444), notAnImage(/not an archive/))
  })

  it('a folder with programs', async () => {
    const path = await node.addFolder('package', [{ name: 'bin/program', content: '#!/bin/sh\n' }])
    const reason = { code: 'PolicyRefused', message: expect.stringMatching(/a folder without an OCI layout/) }
    await expectRefused(path, reason)
  })

  it('a link out of the store', async () => {
    const path = join(node.bed.dir, 'store', 'link-out')
    await symlink('/etc/passwd', path)
    await expectRefused(path, notAnImage(/a link to what is neither in the package/))
  })
})

describe('an OCI folder is rejected if', () => {
  it('a blob is a link out of it', async () => {
    const [layer] = image.layers
    const outside = await node.addFile('outside', layer ?? '')
    const folder = await node.addFolder(
      'link-to-blob',
      ociEntries(image).filter(({ content }) => content !== layer),
    )
    await symlink(outside, join(folder, blobEntry(layer ?? Buffer.of()).name))
    await expectRefused(folder, invalid(/a link out of its folder/))
  })

  it('it lists one large config for many manifests', async () => {
    const { config } = makeImage([], ELSEWHERE)
    const padded = Buffer.concat([config, Buffer.alloc(3_000_000, ' ')])
    const manifests = Array.from({ length: 12 }, (_, number) =>
      Buffer.from(JSON.stringify({ number, config: descriptor('application/vnd.oci.image.config.v1+json', padded) })),
    )
    const index = indexOf(manifests.map(blob => descriptor('application/vnd.oci.image.manifest.v1+json', blob)))
    const entries = [...ociEntries(image).slice(0, 1), ...[padded, ...manifests].map(blobEntry)]
    const folder = await node.addFolder('many-manifests', [...entries, { name: 'index.json', content: index }])
    await expectRefused(folder, invalid(/documents of more than/))
  })

  it('a blob is a folder', async () => {
    const entries = ociEntries(image).filter(({ name }) => name !== 'index.json')
    const folder = await node.addFolder('index-is-a-folder', entries)
    await mkdir(join(folder, 'index.json'))
    await expectRefused(folder, invalid(/index\.json, which is not a file/))
  })
})

describe('a program', () => {
  it.each([
    ['a text', 'hello'],
    ['nothing', ''],
    ['another program', '#!/bin/sh\n'],
    ['a conf.json', '{"store_layers":[],"customisation_layer":""}'],
  ])('that has written %s has not written an image', async (what, text) => {
    const storePath = await node.addFile(`writes-${what}`, '#!/bin/sh\n', 0o555)
    const archive = await node.addFile(`written-${what}`, text, 0o555)
    const error = { code: 'StreamFailed', message: expect.stringMatching(/what it writes is not an image archive/) }
    await expect(node.tryImport(storePath, { archive })).rejects.toMatchObject({ retryable: false, ...error })
    expect(await node.contents()).toEqual(untouched)
  })

  it('is rejected, with the reason, if its interpreter is not in the store', async () => {
    const storePath = await node.addFile('foreign-interpreter', '#!/bin/sh -e\n', 0o555)
    const message = expect.stringMatching(/its interpreter "\/bin\/sh" is not a program of the package/)
    await expect(node.tryImport(storePath)).rejects.toMatchObject({ code: 'StreamFailed', message })
  })
})
