import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { arch } from 'node:os'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'

export interface ArchiveShape {
  readonly layers: number
  readonly filesPerLayer: number
  readonly bytesPerFile: number
}

/** 1 GB in 5 layers, as an image of a few hundred store paths has it. */
export const ONE_GIGABYTE: ArchiveShape = { layers: 5, filesPerLayer: 2000, bytesPerFile: 100_000 }
export const HALF_A_GIGABYTE: ArchiveShape = { ...ONE_GIGABYTE, filesPerLayer: 1000 }

/** Writes a docker-archive as nixpkgs' builders do: layers first, each named by its digest, the manifest last. */
export async function writeArchive(file: string, image: string, shape: ArchiveShape): Promise<void> {
  const archive = pack()
  const written = pipeline(archive, createWriteStream(file))
  const layers: string[] = []
  for (let layer = 0; layer < shape.layers; layer += 1) {
    const layerFile = `${file}.layer`
    const digest = await writeLayer(layerFile, layer, shape)
    await addFile(archive, `${digest}/layer.tar`, layerFile)
    await rm(layerFile)
    layers.push(digest)
  }
  const config = JSON.stringify({
    architecture: arch() === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(digest => `sha256:${digest}`) },
  })
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`
  archive.entry({ name: configName }, config)
  const manifest = [{ Config: configName, RepoTags: [image], Layers: layers.map(digest => `${digest}/layer.tar`) }]
  archive.entry({ name: 'manifest.json' }, JSON.stringify(manifest))
  archive.finalize()
  await written
}

/** Returns the hex sha256 of the layer. */
async function writeLayer(file: string, layer: number, shape: ArchiveShape): Promise<string> {
  const tar = pack()
  const written = pipeline(tar, createWriteStream(file))
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, layer), Buffer.alloc(16))
  const zeros = Buffer.alloc(shape.bytesPerFile)
  for (let n = 0; n < shape.filesPerLayer; n += 1) {
    const content = Readable.from([noise.update(zeros)])
    await addStream(tar, `layer-${layer}/file-${n}`, shape.bytesPerFile, content)
  }
  tar.finalize()
  await written
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

async function addFile(archive: Pack, name: string, file: string): Promise<void> {
  const { size } = await stat(file)
  await addStream(archive, name, size, createReadStream(file))
}

async function addStream(archive: Pack, name: string, size: number, content: Readable): Promise<void> {
  await pipeline(content, archive.entry({ name, size }))
}
