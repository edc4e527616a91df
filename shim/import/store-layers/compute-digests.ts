import { createHash } from 'node:crypto'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { storePathOf } from '../../../recipes/store-path.ts'
import type { LayerMode } from '../../containerd/services/constants.ts'
import type { Layer } from '../../containerd/services/descriptor.ts'
import { knownDiffId } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import { digestOf } from '../image/json.ts'
import { LAYER_TYPE, type StoredBlob } from '../image/parsed-image.ts'
import {
  type FilesLayer,
  type StoreFilesLayer,
  type StoreLayer,
  storePathsOf,
  type TarFileLayer,
} from '../image/store-image.ts'
import { requireInfos, type StoreInfos } from '../store/closure.ts'
import { withFileBytes } from '../store/store-file.ts'
import { checkLayerType, measureLayer } from '../streams/measure-layer.ts'
import { hashBytes } from '../streams/streams.ts'
import type { StoreLayersContext } from './context.ts'
import { describeLayer, fileKey, unpackedKey } from './layer-keys.ts'
import { type FilesDigests, hashTars, recallTars, storeTars } from './tar-digests.ts'

/** A layer with its digests. Only the diffID of a tar file may be a mere promise. containerd may still lack the layer. */
export interface DigestedLayer extends Layer {
  readonly source: StoreLayer
  readonly digestKind: LayerMode
  /**
   * Whether the blob is known to unpack to the diffID. If not, the image promises the diffID, and the blob must be unpacked, even
   * if the snapshots exist.
   */
  readonly isUnpackingKnown: boolean
}

/**
 * Computes the digests of every layer and reads as little as possible. If tars are wanted, unknown ones are made, and are in the
 * content store afterwards. Throws ArchiveInvalid if a layer is not what the image promises.
 */
export async function computeDigests(
  layers: readonly StoreLayer[],
  context: StoreLayersContext,
): Promise<DigestedLayer[]> {
  const files = layers.filter(layer => layer.kind === 'storeFiles')
  const ofFiles = await digestFiles(files, context)
  const digested: DigestedLayer[] = []
  for (const layer of layers) digested.push(await digestLayer(layer, ofFiles, context))
  return digested
}

async function digestLayer(
  source: StoreLayer,
  ofFiles: FilesDigests,
  context: StoreLayersContext,
): Promise<DigestedLayer> {
  if (source.kind === 'tarFile') return verifyTarFile(source, context)
  if (source.kind === 'tarBytes')
    return uncompressed(source, { digest: digestOf(source.bytes), size: source.bytes.length }, 'tar')
  const found = ofFiles.get(source)
  if (!found) throw new Error('a layer without a digest')
  return uncompressed(found.source, found, found.digestKind)
}

function uncompressed(source: StoreLayer, { digest, size }: StoredBlob, digestKind: LayerMode): DigestedLayer {
  return { source, mediaType: LAYER_TYPE, digest, diffId: digest, size, digestKind, isUnpackingKnown: true }
}

/**
 * If the digests of all tars are known, they name the layers in each mode. If not, the unknown tars are made in the content store,
 * except for an image that needs no tars and can be linked.
 */
async function digestFiles(layers: readonly StoreFilesLayer[], context: StoreLayersContext): Promise<FilesDigests> {
  const limit = context.limit.part()
  const known = await recallTars(layers, { ...context, limit })
  // This counts what tars unpack to. Linked files are counted when they are linked.
  const counting = () => ({ ...context, limit: limit.part() })
  const unknown = layers.filter(layer => !known.has(layer))
  if (unknown.length === 0) return known
  if (context.wantsTars) return merge(known, await storeTars(unknown, counting()))
  const opening = context.openStager()
  const digesting = digestForLinking(layers, known, counting())
  await allSettled([opening, digesting])
  return (await opening) ? digesting : merge(known, await storeTars(unknown, counting()))
}

/** Images up to this size, the sum of their NARs in bytes, are read to compute the digests of their tars. */
const MAX_HASHED_BYTES = 32 * 1024 * 1024

/**
 * A small image gets the digests of its tars, so that its id is the same as in tar mode. A larger one gets none of them, although
 * some may be known: with a mixture of digests, its id would differ from node to node.
 */
async function digestForLinking(
  layers: readonly StoreFilesLayer[],
  known: FilesDigests,
  context: StoreLayersContext,
): Promise<FilesDigests> {
  const linked = linkedDigests(layers, context)
  const bytes = [...linked.values()].reduce((sum, { size }) => sum + size, 0)
  if (bytes > MAX_HASHED_BYTES) return linked
  const unknown = layers.filter(layer => !known.has(layer))
  return merge(known, await hashTars(unknown, context))
}

function linkedDigests(layers: readonly StoreFilesLayer[], { closure }: StoreLayersContext): FilesDigests {
  const paths = layers.flatMap(({ files }) => storePathsOf(files))
  const infos = requireInfos(closure, paths)
  return new Map(layers.map(source => [source, { source, digestKind: 'linked', ...linkedDigest(source.files, infos) }]))
}

/**
 * Stands in for the digest of a tar that is never made, so the manifest of a linked image names blobs that do not exist anywhere.
 * To compute the tar's digest, every file would have to be read. containerd does not miss the blobs: it runs containers from
 * snapshots. The digest covers everything that decides what is in the layer, with the NAR hash of each store path, so it is the
 * same on every node. `infos` has all paths of the layer.
 */
export function linkedDigest(layer: FilesLayer, infos: StoreInfos): StoredBlob {
  const description = JSON.stringify(['enbi-shim linked layer 2', describeLayer(layer, infos)])
  const hex = createHash(NOT_SHA256).update(description).digest('hex')
  const size = storePathsOf(layer).reduce((sum, path) => sum + (infos.get(path)?.narSize ?? 0), 0)
  return { digest: `sha256:${hex}`, size }
}

/** As long as SHA-256, but no blob can have such a digest. With SHA-256, the description itself would be that blob. */
const NOT_SHA256 = 'sha512-256'

function merge(one: FilesDigests, other: FilesDigests): FilesDigests {
  return new Map([...one, ...other])
}

/**
 * Computes the digest of an existing tar: containerd may have a blob of the promised digest that is another image's. Throws
 * ArchiveInvalid if the file does not have the promised digest, and ImageTooLarge.
 */
async function verifyTarFile(source: TarFileLayer, context: StoreLayersContext): Promise<DigestedLayer> {
  const { closure, digests, snapshots, limit } = context
  const { path, mediaType, digest, diffId } = source
  const storePath = storePathOf(path)
  const infos = requireInfos(closure, [storePath])
  const key = fileKey(path, storePath, infos)
  const sizeKey = unpackedKey(source, storePath, infos)
  const [known, knownSize] = await Promise.all([digests.recall(key), digests.recallNumber(sizeKey)])
  const remembered = known && knownSize !== undefined ? { ...known, unpackedSize: knownSize } : undefined
  if (remembered) limit.add(remembered.unpackedSize)
  const { unpackedSize, ...made } = remembered ?? (await digestTarFile(source, context))
  if (made.digest !== digest)
    throw archiveInvalid(`has a layer ${path} that has not the digest it should have, ${digest}`)
  if (!known) await digests.remember(key, made)
  if (knownSize === undefined) await digests.rememberNumber(sizeKey, unpackedSize, made)
  const unpacked = await knownDiffId(snapshots.lease, { mediaType, digest })
  if (unpacked !== undefined && unpacked !== diffId)
    throw archiveInvalid(`has a layer ${path} that does not unpack to what it should, ${diffId}`)
  const isUnpackingKnown = unpacked !== undefined
  return { source, mediaType, digest, diffId, size: made.size, digestKind: 'tar', isUnpackingKnown }
}

interface DigestedFile extends StoredBlob {
  /** Bytes, decompressed. */
  readonly unpackedSize: number
}

/** If containerd lacks the blob, it computes the digest while it receives it. */
async function digestTarFile(
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
