import { randomBytes } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hostSystem } from '../../../recipes/system.ts'
import { hostPlatform } from '../../../shim/import/image/config.ts'
import { createImporter } from '../../../shim/import/importer.ts'
import { writeMadeFlake } from '../../node/made-flake.ts'
import { recipePull } from '../../node/recipe-pull.ts'
import type { Shim } from '../../node/shim.ts'
import { writeStoreImages } from '../../node/store-image.ts'
import { storePathInfo } from '../../shim/import/closure.ts'
import { digest, dockerEntries, makeImage, ociEntries } from '../../shim/import/image.ts'
import { type ImportNode, startImportNode } from '../../shim/import/import-node.ts'
import { image as storeImage } from '../../shim/import/store-layers/images.ts'
import { type Entry, tar } from '../../shim/import/tar.ts'
import { xz } from '../../shim/import/xz.ts'
import { writeClaims } from './names-flake.ts'

const MAX_MIB = 16
const MAX_BYTES = MAX_MIB * 2 ** 20
/** Zeros, which gzip and zstd compress to some kB. */
const BOMB_BYTES = 4 * MAX_BYTES
const TOO_LARGE = {
  code: 'ImageTooLarge',
  retryable: false,
  message: expect.stringMatching(/more than 16MiB .*maxImageSize/),
}

/** An image that is too large for the shim to read the files that it could link. */
const MAX_LINKED_MIB = 48

const POLICY = { namespaces: ['*'], images: ['**'], flakes: ['path:/**'], plainPackages: true }

let node: ImportNode
let shim: Shim
let untouched: Awaited<ReturnType<ImportNode['contents']>>
beforeAll(async () => {
  node = await startImportNode({ without: [] })
  const linked = { ...POLICY, images: ['registry.example/linked/**'], maxImageSize: `${MAX_LINKED_MIB}MiB` }
  shim = await node.bed.startShim({ config: { policy: [linked, { ...POLICY, maxImageSize: `${MAX_MIB}MiB` }] } })
  untouched = await node.contents()
})
afterAll(() => node?.[Symbol.asyncDispose]())

const bomb = () => tar([{ name: 'zeros', content: Buffer.alloc(BOMB_BYTES) }])
const small = (name = 'text') => tar([{ name, content: name }])

let files = 0
async function addArchive(entries: readonly Entry[], compress = (bytes: Buffer) => bytes): Promise<string> {
  files += 1
  return node.addFile(`bomb-${files}`, compress(await tar(entries)))
}

async function expectNothingLeft(): Promise<void> {
  expect(await node.contents()).toEqual(untouched)
}

describe('an archive that unpacks to more than its rule allows is rejected, and leaves nothing behind, if it is', () => {
  const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
  const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'
  /** containerd detects the compression of a layer of this type by itself. */
  const ANY = 'application/vnd.docker.image.rootfs.diff.tar'
  const oci = async (compress: (layer: Buffer) => Buffer, layerType: string) =>
    ociEntries(makeImage([await small(), await bomb()]), { compress, layerType })
  /** Node stops after the first frame, and containerd does not. */
  const afterFrame = (layer: Buffer) =>
    Buffer.concat([zstdCompressSync(layer.subarray(0, 512)), zstdCompressSync(layer.subarray(512))])
  const skippable = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Buffer.from('skip')])
  const noise = async () => {
    const layer = await tar([{ name: 'noise', content: randomBytes(MAX_BYTES + 1) }])
    return ociEntries(makeImage([layer]), { compress: gzipSync, layerType: GZIP })
  }
  const parts = async () => {
    const names = ['one', 'two', 'three', 'four', 'five']
    return Promise.all(names.map(name => tar([{ name, content: Buffer.alloc(MAX_BYTES / 4) }])))
  }

  it.each<[string, () => Promise<string>]>([
    ['compressed as a whole with gzip', async () => addArchive(dockerEntries(makeImage([await bomb()])), gzipSync)],
    [
      'compressed as a whole with zstd',
      async () => addArchive(dockerEntries(makeImage([await bomb()])), zstdCompressSync),
    ],
    ['one with a gzip layer', async () => addArchive(await oci(gzipSync, GZIP))],
    ['one with a large gzip layer', async () => addArchive(await noise())],
    ['one with a zstd layer', async () => addArchive(await oci(zstdCompressSync, ZSTD))],
    ['one with a gzip layer whose type does not name gzip', async () => addArchive(await oci(gzipSync, ANY))],
    [
      'one with a zstd layer behind a skippable frame',
      async () => addArchive(await oci(layer => Buffer.concat([skippable, zstdCompressSync(layer)]), ZSTD)),
    ],
    ['one with a zstd layer in a second frame', async () => addArchive(await oci(afterFrame, ZSTD))],
    ['a layout folder with a gzip layer', async () => node.addFolder('bomb-folder', await oci(gzipSync, GZIP))],
    ['one with many small layers', async () => addArchive(dockerEntries(makeImage(await parts())), gzipSync)],
    [
      'one that lists the same layer many times',
      async () => addArchive(manyTimes(await tar([{ name: 'half', content: Buffer.alloc(MAX_BYTES / 4) }]))),
    ],
    [
      'one with a layer of many empty files, each of which takes room on the disk',
      async () => addArchive(dockerEntries(makeImage([await manyFiles()]))),
    ],
    [
      'one with files that belong to no layer',
      async () =>
        addArchive(
          [{ name: 'x', content: Buffer.alloc(BOMB_BYTES) }, ...dockerEntries(makeImage([await small()]))],
          gzipSync,
        ),
    ],
  ])('%s', async (_what, add) => {
    const path = await add()
    await expect(node.importImage(path, { maxImageSize: MAX_BYTES })).rejects.toMatchObject(TOO_LARGE)
    await expectNothingLeft()
  })

  const manyFiles = () => tar(Array.from({ length: 4000 }, (_, name) => ({ name: `${name}` })))
  const manyTimes = (layer: Buffer): Entry[] => {
    const entries = ociEntries(makeImage(Array.from({ length: 5 }, () => layer)))
    return entries.filter(({ name }, index) => entries.findIndex(other => other.name === name) === index)
  }
})

it('a package set is rejected if its files and the links to them are together larger than its rule allows', async () => {
  // Either of them alone would be small enough.
  const names = Array.from({ length: 2500 }, (_, name) => ({ name: `share/${name}` }))
  const path = await node.addFolder(`${'0'.repeat(32)}-package-set`, names)
  const importer = createImporter({ ...node.options, queryClosure: async path => [storePathInfo(path)] })
  const imported = node.importImage(path, { packageSet: {}, maxImageSize: MAX_BYTES }, importer)
  await expect(imported).rejects.toMatchObject(TOO_LARGE)
  await expectNothingLeft()
})

describe('the shim rejects an archive that is small and grows when it is unpacked, such as', () => {
  it.each(['gnu', 'pax'])('a layer with a sparse file in the %s format', async format => {
    const folder = join(node.bed.dir, `sparse-${format}`)
    await mkdir(folder)
    await execa('truncate', ['-s', '1T', join(folder, 'sparse')])
    const layer = await execa('tar', ['-S', `--format=${format}`, '-C', folder, '-c', 'sparse'], { encoding: 'buffer' })
    const image = makeImage([Buffer.from(layer.stdout)])
    for (const entries of [dockerEntries(image), ociEntries(image)])
      await expect(node.importImage(await addArchive(entries))).rejects.toMatchObject({
        code: 'ArchiveInvalid',
        message: expect.stringContaining('sparse file'),
      })
    await expectNothingLeft()
  })

  it('an xz file with a dictionary of 1.5 GiB, before it takes memory', async () => {
    const archive = await tar(dockerEntries(makeImage([await tar([{ name: 'noise', content: randomBytes(4e6) }])])))
    const path = await node.addFile('dictionary', xz(archive, DICTIONARY_1536_MIB))
    const before = process.memoryUsage().rss
    await expect(node.importImage(path)).rejects.toMatchObject({
      code: 'ArchiveInvalid',
      message: expect.stringContaining('too large a dictionary'),
    })
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6)
    await expectNothingLeft()
    const { stdout } = await execa('find', ['/proc', '-path', '*/fd/*', '-lname', path], { reject: false })
    expect(stdout).toBe('')
    // The next archive is accepted.
    await expect(node.importImage(await node.addFile('harmless', xz(archive)))).resolves.toBeDefined()
    await node.ctr('images', 'rm', '--sync', ...((await node.contents()).images ?? []))
    untouched = await node.contents()
  })

  /** The properties of LZMA2 in the .xz file format. */
  const DICTIONARY_1536_MIB = 37
})

describe('a tar with a sparse file that is also a valid and harmless zstd file is rejected', () => {
  const TAR = 'application/vnd.oci.image.layer.v1.tar'
  let layer: Buffer
  beforeAll(async () => {
    layer = await twoFaced()
  })

  /** zstd skips the first frame, which contains the whole tar. */
  async function twoFaced(): Promise<Buffer> {
    await execa('truncate', ['-s', `${BOMB_BYTES}`, join(node.bed.dir, 'sparse')])
    const made = await execa('tar', ['-S', '--format=pax', '-C', node.bed.dir, '-c', 'sparse'], { encoding: 'buffer' })
    const bytes = Buffer.from(made.stdout)
    bytes.set([0x50, 0x2a, 0x4d, 0x18])
    bytes.writeUInt32LE(bytes.length - 8, 4)
    bytes.fill(' ', 148, 156)
    const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0)
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0`, 148)
    return Buffer.concat([bytes, zstdCompressSync(await small())])
  }

  it.each(['archive', 'folder'])('in an OCI %s', async form => {
    const entries = ociEntries(makeImage([layer]))
    const path = form === 'archive' ? await addArchive(entries) : await node.addFolder('two-faced', entries)
    await expect(node.importImage(path)).rejects.toMatchObject({
      code: 'ArchiveInvalid',
      message: expect.stringContaining('compressed with zstd, which its type does not say'),
    })
    await expectNothingLeft()
  })

  it('as a ready-made tar of nix2container, even if it was measured as a compressed one before', async () => {
    const ready = { ready: layer, digest: digest(layer) }
    const compressed = { ...ready, diffId: digest(await small()), mediaType: `${TAR}+zstd` }
    const flakeUrl = await writeClaims(node.bed.dir, [compressed, ready])
    const pull = recipePull({ image: 'registry.example/two-faced:1', flakeUrl, packageName: 'image' })
    await expect(node.bed.cri(shim.socket).pullImage(pull)).rejects.toMatchObject({
      details: expect.stringContaining('compressed with zstd, which its type does not say'),
    })
    await expectNothingLeft()
  })
})

describe('an image of store paths that is larger than its rule allows is rejected, and leaves nothing behind, if it is', () => {
  const BASE = { script: `mkdir base; truncate -s ${BOMB_BYTES} base/fat`, env: [] }
  const FAT = { script: `mkdir -p bin; truncate -s ${BOMB_BYTES} fat`, setuid: [] }
  const images = {
    trees: { fat: ['sparse', `${BOMB_BYTES}`], lean: ['many', '1', '3', '30'], crowd: ['many', '2', '4200', '1'] },
    images: {
      path: storeImage([['fat']]),
      crowd: storeImage([['crowd']]),
      customized: storeImage([['lean']], { customization: FAT }),
      based: storeImage([['lean']], { base: BASE }),
    },
  }
  const PLAIN_FLAKE = `{
  outputs = _: {
    packages.${hostSystem()}.default = derivation {
      name = "fat";
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" "mkdir -p $out/bin; cp /usr/bin/busybox $out/bin/busybox; truncate -s ${BOMB_BYTES} $out/fat" ];
    };
  };
}
`

  /** An image whose JSON puts each of a hundred empty files into 50 nested folders. */
  const formatFolders = (bytes: number) =>
    writeMadeFlake(
      node.bed.dir,
      `let
        path = make "files" { } "mkdir $out; truncate -s ${bytes} $out/fat; for n in $(seq 100); do : > $out/$n; done";
        layer = {
          digest = "${NO_DIGEST}";
          diff_ids = "${NO_DIGEST}";
          mediatype = "application/vnd.oci.image.layer.v1.tar";
          size = 1000;
          paths = [ { inherit path; options.rewrite = { regex = "^\${path}/([0-9]+)$"; repl = "/$1/${'a/'.repeat(50)}f"; }; } ];
        };
        document = builtins.toJSON {
          version = 1;
          arch = "${hostPlatform().architecture}";
          image-config = { };
          layers = [ layer ];
        };
      in make "image.json" { inherit document; } ''printf %s "$document" > $out''`,
    )
  const NO_DIGEST = `sha256:${'1'.repeat(64)}`

  let storeFlake: string
  let plainFlake: string
  beforeAll(async () => {
    storeFlake = (await writeStoreImages(node.bed.dir, images)).url
    const plain = join(node.bed.dir, 'plain')
    await mkdir(plain)
    await writeFile(join(plain, 'flake.nix'), PLAIN_FLAKE)
    await chmod(plain, 0o755)
    plainFlake = `path:${plain}`
  })

  it.each([
    ['made of a sparse file', 'conf.path', () => storeFlake],
    ['made of many small files, each of which takes room on the disk', 'conf.crowd', () => storeFlake],
    ['made of a large customization layer', 'conf.customized', () => storeFlake],
    ['made on a large base image', 'conf.based', () => storeFlake],
    ['a plain package with a sparse file', 'default', () => plainFlake],
  ])('%s', async (_what, packageName, flake) => {
    const pull = recipePull({ image: `registry.example/bombs/${packageName}:1`, flakeUrl: flake(), packageName })
    await expect(node.bed.cri(shim.socket).pullImage(pull)).rejects.toMatchObject({
      details: expect.stringMatching(/more than 16MiB .*maxImageSize/),
    })
    await expectNothingLeft()
  })

  it.each([
    ['reads its files', 'read', 0, MAX_MIB],
    ['links its files', 'linked', 34 * 2 ** 20, MAX_LINKED_MIB],
  ])('full of folders that only its JSON names, while the shim %s', async (_how, name, bytes, most) => {
    const flakeUrl = await formatFolders(bytes)
    const pull = recipePull({ image: `registry.example/${name}/folders:1`, flakeUrl, packageName: 'image' })
    await expect(node.bed.cri(shim.socket).pullImage(pull)).rejects.toMatchObject({
      details: expect.stringMatching(new RegExp(`more than ${most}MiB .*maxImageSize`)),
    })
    await expectNothingLeft()
  })
})
