import { archiveInvalid } from '../image/errors.ts'
import { withFileBytes } from '../store/file-bytes.ts'
import { oneChunk } from '../streams/streams.ts'
import type { IdentifiedLayer } from './identify.ts'
import type { NativeStage } from './stage.ts'
import { makeTar } from './tar-digests.ts'

/**
 * Brings the layer's tar into the content store, if it is not there. What holds it there is the image's manifest.
 * Throws ArchiveInvalid when it is not what it was, and StaleDigest.
 */
export async function ensureBlob(layer: IdentifiedLayer, stage: NativeStage): Promise<void> {
  const { source, digest } = layer
  if (await stage.writer.has(digest)) return
  if ((await writeBlob(layer, stage)) === digest) return
  if (source.kind === 'file') throw archiveInvalid(`has a layer ${source.path} that is not ${digest} any more`)
  throw new StaleDigest()
}

/** What was remembered of a layer is not so: it is forgotten, and all has to be identified anew. */
export class StaleDigest extends Error {}

async function writeBlob({ source }: IdentifiedLayer, stage: NativeStage): Promise<string> {
  if (source.kind === 'store' || source.kind === 'merged') return (await makeTar(source.layer, stage)).digest
  const write = async (bytes: AsyncIterable<Buffer>) => (await stage.writer.write(bytes)).digest
  return source.kind === 'file' ? withFileBytes(source.path, stage.closure, write) : write(oneChunk(source.bytes))
}
