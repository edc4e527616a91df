import { archiveInvalid } from '../image/errors.ts'
import { withFileBytes } from '../store/store-file.ts'
import { oneChunk } from '../streams/streams.ts'
import type { StoreLayersContext } from './context.ts'
import type { IdentifiedLayer } from './identify.ts'
import { makeTar } from './tar-digests.ts'

/**
 * Brings the layer's tar into the content store unless it is there; the image's manifest holds it from then on.
 * Throws ArchiveInvalid if the layer has changed, and StaleDigest.
 */
export async function ensureBlob(layer: IdentifiedLayer, context: StoreLayersContext): Promise<void> {
  const { source, digest } = layer
  if (await context.writer.has(digest)) return
  if ((await writeBlob(layer, context)) === digest) return
  if (source.kind === 'file') throw archiveInvalid(`has a layer ${source.path} that is not ${digest} any more`)
  throw new StaleDigest()
}

/** The remembered digest of a layer was wrong. It has been replaced, and all layers have to be identified again. */
export class StaleDigest extends Error {}

async function writeBlob({ source }: IdentifiedLayer, context: StoreLayersContext): Promise<string> {
  if (source.kind === 'files') return (await makeTar(source.layer, context)).digest
  const write = async (bytes: AsyncIterable<Buffer>) => (await context.writer.write(bytes)).digest
  return source.kind === 'file' ? withFileBytes(source.path, context.closure, write) : write(oneChunk(source.bytes))
}
