import { storePathOf } from '../../../recipes/store-path.ts'
import { knownDiffId } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import type { TarFileLayer } from '../layers/store-image.ts'
import { withFileBytes } from '../store/file-bytes.ts'
import type { StoredBlob } from '../streams/blob-store.ts'
import { hashBytes } from '../streams/hash-bytes.ts'
import { checkLayerType } from '../streams/layer-type.ts'
import { measureLayer } from '../streams/measure-layer.ts'
import { fileKey, unpackedKey } from './digest-keys.ts'
import type { IdentifiedLayer } from './identify.ts'
import type { NativeStage } from './stage.ts'

/**
 * A tar that lies ready, once it is seen to have the digest that the image promises: containerd may have a blob of that name
 * that is none of the image's. Throws ArchiveInvalid when it has not, and ImageTooLarge.
 */
export async function verifyFile(source: TarFileLayer, stage: NativeStage): Promise<IdentifiedLayer> {
  const { path, mediaType, digest, diffId } = source
  const storePath = storePathOf(path)
  const infos = await stage.paths.infoOf([storePath])
  const key = fileKey(path, storePath, infos)
  const sizeKey = unpackedKey(source, storePath, infos)
  const [known, measured] = await Promise.all([stage.cache.recall(key), stage.cache.recall(sizeKey)])
  if (known && measured) stage.limit.add(measured.size)
  const { unpackedSize, ...made } =
    known && measured ? { ...known, unpackedSize: measured.size } : await digestFile(source, stage)
  if (made.digest !== digest)
    throw archiveInvalid(`has a layer ${path} that has not the digest it should have, ${digest}`)
  if (!known) await stage.cache.remember(key, made)
  if (!measured) await stage.cache.remember(sizeKey, { ...made, size: unpackedSize })
  const unpacked = await knownDiffId(stage.keeper.lease, { mediaType, digest })
  if (unpacked !== undefined && unpacked !== diffId)
    throw archiveInvalid(`has a layer ${path} that does not unpack to what it should, ${diffId}`)
  const isUnpackingKnown = unpacked !== undefined
  return { source, mediaType, digest, diffId, size: made.size, namedBy: 'tar', isUnpackingKnown }
}

/** Where containerd lacks the blob, it is the one that makes the digest while it gets it. */
async function digestFile({ path, digest, mediaType }: TarFileLayer, stage: NativeStage): Promise<DigestedFile> {
  const { writer, closure, limit } = stage
  const isThere = await writer.has(digest)
  return withFileBytes(path, closure, async file => {
    const { bytes, unpackedSize, compression } = await measureLayer(file, limit)
    checkLayerType(mediaType, compression)
    const made = await (isThere ? hashBytes(bytes) : writer.write(bytes))
    return { ...made, unpackedSize: unpackedSize() }
  })
}

interface DigestedFile extends StoredBlob {
  /** Bytes, decompressed. */
  readonly unpackedSize: number
}
