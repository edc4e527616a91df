import type { Closure } from '../closure.ts'
import { archiveInvalid } from '../invalid.ts'
import type { LayerDigest } from '../layers/digest-cache.ts'
import { oneChunk } from '../one-chunk.ts'
import type { NativeLayer, StoreFilesLayer, TarFileLayer } from '../sources/native-image.ts'
import { openStoreFile } from '../sources/store-file.ts'
import type { IdentifiedLayer } from './identify.ts'
import type { NativeStage } from './stage.ts'

/**
 * Brings the layer's tar into the content store, if it is not there. What holds it there is the image's manifest.
 * Throws ArchiveInvalid when it is not what was promised, and StaleDigest.
 */
export async function ensureBlob(layer: IdentifiedLayer, stage: NativeStage): Promise<void> {
  const { source, digest } = layer
  if (await stage.writer.has(digest)) return
  const made = await writeBlob(layer, stage)
  if (made === digest) return
  if (source.kind === 'store') throw new StaleDigest()
  throw archiveInvalid(`names a layer ${digest} that is ${made}`)
}

/** What was remembered of a layer is not so: it is forgotten, and all has to be identified anew. */
export class StaleDigest extends Error {}

async function writeBlob({ source }: IdentifiedLayer, stage: NativeStage): Promise<string> {
  if (source.kind === 'store') return (await makeStoreTar(source, stage)).diffId
  if (source.kind === 'merged') stage.paths.infoOf(source.layer.paths.map(({ path }) => path))
  return (await stage.writer.write(bytesOf(source, stage))).digest
}

function bytesOf(source: Exclude<NativeLayer, StoreFilesLayer>, { tars, closure }: NativeStage): AsyncIterable<Buffer> {
  if (source.kind === 'merged') return tars.tar(source.layer)
  return source.kind === 'file' ? fileBytes(source, closure) : oneChunk(source.bytes)
}

/** Makes the tar of a layer, sends it to the content store and remembers its digest. */
export async function makeStoreTar({ layer }: StoreFilesLayer, stage: NativeStage): Promise<LayerDigest> {
  const { writer, tars, cache, paths } = stage
  paths.infoOf(layer.paths)
  const { digest, size } = await writer.write(tars.tar(layer))
  await cache.remember('tar', layer, { diffId: digest, size })
  return { diffId: digest, size }
}

const READ_BYTES = 256 * 1024

async function* fileBytes({ path }: TarFileLayer, closure: Closure): AsyncGenerator<Buffer> {
  await using file = await openStoreFile(path, closure)
  await using handle = await file.openToRead()
  for await (const chunk of handle.createReadStream({ highWaterMark: READ_BYTES, autoClose: false })) yield chunk
}
