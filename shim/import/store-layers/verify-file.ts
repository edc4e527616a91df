import { storePathOf } from '../../../recipes/store-path.ts'
import type { Layer } from '../../containerd/services/descriptor.ts'
import { knownDiffId } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { StoredBlob } from '../image/parsed-image.ts'
import type { TarFileLayer } from '../layers/store-image.ts'
import { requireInfos } from '../store/closure.ts'
import { withFileBytes } from '../store/store-file.ts'
import { checkLayerType, measureLayer } from '../streams/measure-layer.ts'
import { hashBytes } from '../streams/streams.ts'
import type { StoreLayersContext } from './context.ts'
import { fileKey, unpackedKey } from './digest-keys.ts'

export interface VerifiedFile extends Layer {
  /** Whether the blob is known to unpack to the diff id. */
  readonly isUnpackingKnown: boolean
}

/**
 * Computes the digest of a tar that lies ready: containerd may have a blob of the promised digest that is another image's. Throws
 * ArchiveInvalid if the file does not have the promised digest, and ImageTooLarge.
 */
export async function verifyFile(file: TarFileLayer, context: StoreLayersContext): Promise<VerifiedFile> {
  const { closure, digests, keeper, limit } = context
  const { path, mediaType, digest, diffId } = file
  const storePath = storePathOf(path)
  const infos = requireInfos(closure, [storePath])
  const key = fileKey(path, storePath, infos)
  const sizeKey = unpackedKey(file, storePath, infos)
  const [known, measured] = await Promise.all([digests.recall(key), digests.recall(sizeKey)])
  if (known && measured) limit.add(measured.size)
  const { unpackedSize, ...made } =
    known && measured ? { ...known, unpackedSize: measured.size } : await digestFile(file, context)
  if (made.digest !== digest)
    throw archiveInvalid(`has a layer ${path} that has not the digest it should have, ${digest}`)
  if (!known) await digests.remember(key, made)
  if (!measured) await digests.remember(sizeKey, { ...made, size: unpackedSize })
  const unpacked = await knownDiffId(keeper.lease, { mediaType, digest })
  if (unpacked !== undefined && unpacked !== diffId)
    throw archiveInvalid(`has a layer ${path} that does not unpack to what it should, ${diffId}`)
  return { mediaType, digest, diffId, size: made.size, isUnpackingKnown: unpacked !== undefined }
}

interface DigestedFile extends StoredBlob {
  /** Bytes, decompressed. */
  readonly unpackedSize: number
}

/** If containerd lacks the blob, it computes the digest while it receives it. */
async function digestFile(
  { path, digest, mediaType }: TarFileLayer,
  { writer, closure, limit }: StoreLayersContext,
): Promise<DigestedFile> {
  const isThere = await writer.has(digest)
  return withFileBytes(path, closure, async file => {
    const { bytes, unpackedSize, compression } = await measureLayer(file, limit)
    checkLayerType(mediaType, compression)
    const made = await (isThere ? hashBytes(bytes) : writer.write(bytes))
    return { ...made, unpackedSize: unpackedSize() }
  })
}
