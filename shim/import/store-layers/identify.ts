import { createHash } from 'node:crypto'
import { allSettled } from '../../../lib/async/all-settled.ts'
import type { Layer } from '../../containerd/services/descriptor.ts'
import { digestOf } from '../image/json.ts'
import { LAYER_TYPE, type StoredBlob } from '../image/parsed-image.ts'
import { type FilesLayer, storePathsOf } from '../layers/layer.ts'
import type { StoreFilesLayer, StoreLayer } from '../layers/store-image.ts'
import { requireInfos, type StoreInfos } from '../store/closure.ts'
import type { StoreLayersContext } from './context.ts'
import { describeLayer } from './digest-keys.ts'
import { type DigestedLayers, type DigestKind, hashTars, makeTars, recallTars } from './tar-digests.ts'
import { verifyFile } from './verify-file.ts'

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
