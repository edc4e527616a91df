import { createHash } from 'node:crypto'
import { allSettled } from '../../../lib/async/all-settled.ts'
import { storePathOf } from '../../../recipes/store-path.ts'
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
import { describeLayer, fileKey, unpackedKey } from './digest-cache.ts'
import { type DigestedLayers, type DigestKind, hashTars, makeTars, recallTars } from './tar-digests.ts'

/** A layer with its digests, none of which is merely promised. containerd may still lack the layer. */
export interface IdentifiedLayer extends Layer {
  readonly source: StoreLayer
  readonly digestKind: DigestKind
  /** Whether the blob is known to unpack to the diff id. If not, it has to be unpacked, even if the snapshots exist. */
  readonly isUnpackingKnown: boolean
}

/**
 * Computes the digests of every layer, reading as little as possible. If tars are wanted, unknown ones are made, and are in the
 * content store afterwards. Throws ArchiveInvalid if a layer that was read is not what the image promises.
 */
export async function identifyLayers(
  layers: readonly StoreLayer[],
  context: StoreLayersContext,
): Promise<IdentifiedLayer[]> {
  const files = layers.filter(layer => layer.kind === 'files')
  const digested = await digestLayers(files, context)
  const identified: IdentifiedLayer[] = []
  for (const layer of layers) identified.push(await identify(layer, digested, context))
  return identified
}

async function identify(
  source: StoreLayer,
  digested: DigestedLayers,
  context: StoreLayersContext,
): Promise<IdentifiedLayer> {
  if (source.kind === 'file') return { ...(await verifyFile(source, context)), source, digestKind: 'tar' }
  if (source.kind === 'bytes')
    return uncompressed(source, { digest: digestOf(source.bytes), size: source.bytes.length }, 'tar')
  const found = digested.get(source)
  if (!found) throw new Error('a layer without a digest')
  return uncompressed(found.source, found, found.digestKind)
}

function uncompressed(source: StoreLayer, { digest, size }: StoredBlob, digestKind: DigestKind): IdentifiedLayer {
  return { source, mediaType: LAYER_TYPE, digest, diffId: digest, size, digestKind, isUnpackingKnown: true }
}

async function digestLayers(layers: readonly StoreFilesLayer[], context: StoreLayersContext): Promise<DigestedLayers> {
  const limit = context.limit.part()
  const known = await recallTars(layers, { ...context, limit })
  // This counts what tars unpack to. Linked files are counted when they are linked.
  const counting = () => ({ ...context, limit: limit.part() })
  const unknown = layers.filter(layer => !known.has(layer))
  if (unknown.length === 0) return known
  if (context.wantsTars) return merge(known, await makeTars(unknown, counting()))
  const opening = context.linking()
  const digesting = digestLinked(layers, known, counting())
  await allSettled([opening, digesting])
  return (await opening) ? digesting : merge(known, await makeTars(unknown, counting()))
}

/** Store paths of one image, in bytes, that are read for the sake of tar digests. */
const CHEAP_BYTES = 32 * 1024 * 1024

/**
 * A small image gets the digests of its tars, so that its id is the same as in tar mode. The size of the whole image decides:
 * an image's id must not depend on which digests the node happens to know.
 */
async function digestLinked(
  layers: readonly StoreFilesLayer[],
  known: DigestedLayers,
  context: StoreLayersContext,
): Promise<DigestedLayers> {
  const linked = linkedDigests(layers, context)
  const bytes = [...linked.values()].reduce((sum, { size }) => sum + size, 0)
  if (bytes > CHEAP_BYTES) return linked
  const unknown = layers.filter(layer => !known.has(layer))
  return merge(known, await hashTars(unknown, context))
}

function linkedDigests(layers: readonly StoreFilesLayer[], { closure }: StoreLayersContext): DigestedLayers {
  const paths = layers.flatMap(({ layer }) => storePathsOf(layer))
  const infos = requireInfos(closure, paths)
  return new Map(layers.map(source => [source, { source, digestKind: 'linked', ...linkedDigest(source.layer, infos) }]))
}

/**
 * Replaces the digest of a layer whose tar has not been made. It covers everything that decides what is in the layer, the content
 * of store paths by their NAR hashes, so it is the same on every node. `infos` has all paths of the layer.
 */
export function linkedDigest(layer: FilesLayer, infos: StoreInfos): StoredBlob {
  const description = JSON.stringify(['enbi-shim linked layer 2', describeLayer(layer, infos)])
  const hex = createHash(NOT_SHA256).update(description).digest('hex')
  const size = storePathsOf(layer).reduce((sum, path) => sum + (infos.get(path)?.narSize ?? 0), 0)
  return { digest: `sha256:${hex}`, size }
}

/** As long, but no blob can have such a digest: a digest by sha256 would be that of the description itself. */
const NOT_SHA256 = 'sha512-256'

function merge(one: DigestedLayers, other: DigestedLayers): DigestedLayers {
  return new Map([...one, ...other])
}

interface VerifiedFile extends Layer {
  /** Whether the blob is known to unpack to the diff id. */
  readonly isUnpackingKnown: boolean
}

/**
 * Computes the digest of a tar that lies ready: containerd may have a blob of the promised digest that is another image's. Throws
 * ArchiveInvalid if the file does not have the promised digest, and ImageTooLarge.
 */
async function verifyFile(file: TarFileLayer, context: StoreLayersContext): Promise<VerifiedFile> {
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
