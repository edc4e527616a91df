import { allSettled } from '../../../lib/async/all-settled.ts'
import { digestOf } from '../image/json.ts'
import { LAYER_TYPE } from '../image/manifest.ts'
import type { PlannedLayer } from '../image/parsed-image.ts'
import { storePathsOf } from '../layers/files-layer.ts'
import type { ContentLayer, NativeLayer } from '../layers/store-image.ts'
import { linkedDigest } from './linked-digest.ts'
import type { NativeStage } from './stage.ts'
import { hashTars, makeTars, type NamedContents, recallTars } from './tar-digests.ts'
import { verifyFile } from './verify-file.ts'

/** A layer with its digests, before it is certain that containerd has it. None of them is merely promised. */
export interface IdentifiedLayer extends PlannedLayer {
  readonly source: NativeLayer
  /** `tar`: its files are what its tar unpacks to. `content`: there is no tar. */
  readonly namedBy: 'tar' | 'content'
  /** Whether the blob is known to unpack to the diffID; if not, it has to be unpacked, whatever snapshots there are. */
  readonly isUnpackingKnown: boolean
}

/**
 * Gives every layer its digests, reading as little as can be. With real tars wanted, those of unknown digest are made,
 * and are in the content store then. Throws ArchiveInvalid when a layer is not what the image promises, as far as that is looked at.
 */
export async function identifyLayers(layers: readonly NativeLayer[], stage: NativeStage): Promise<IdentifiedLayer[]> {
  const contents = layers.filter(layer => layer.kind === 'store' || layer.kind === 'merged')
  const named = await nameContents(contents, stage)
  const identified: IdentifiedLayer[] = []
  for (const layer of layers) identified.push(await identify(layer, named, stage))
  return identified
}

async function identify(source: NativeLayer, contents: NamedContents, stage: NativeStage): Promise<IdentifiedLayer> {
  if (source.kind === 'file') return verifyFile(source, stage)
  if (source.kind === 'bytes') return plainLayer(source, { digest: digestOf(source.bytes), size: source.bytes.length })
  const named = contents.get(source)
  if (!named) throw new Error('a layer without a digest')
  return { ...plainLayer(named.source, named), namedBy: named.namedBy }
}

/** An uncompressed one. */
function plainLayer(source: NativeLayer, { digest, size }: { digest: string; size: number }): IdentifiedLayer {
  return { source, mediaType: LAYER_TYPE, digest, diffId: digest, size, namedBy: 'tar', isUnpackingKnown: true }
}

async function nameContents(layers: readonly ContentLayer[], stage: NativeStage): Promise<NamedContents> {
  await stage.paths.infoOf(layers.flatMap(({ layer }) => storePathsOf(layer)))
  const limit = stage.limit.part()
  const known = await recallTars(layers, { ...stage, limit })
  // What is counted here is what tars unpack to: whoever links counts what is made then.
  const counting = () => ({ ...stage, limit: limit.part() })
  const unknown = layers.filter(layer => !known.has(layer))
  if (unknown.length === 0) return known
  if (stage.wantsTars) return merge(known, await makeTars(unknown, counting()))
  const opening = stage.linking()
  const naming = nameLinked(layers, known, counting())
  await allSettled([opening, naming])
  return (await opening) ? naming : merge(known, await makeTars(unknown, counting()))
}

/** Store paths of one image, in bytes, that are read through for the sake of real digests. */
const CHEAP_BYTES = 32 * 1024 * 1024

/**
 * An image that is read through quickly gets the digests of its tars, so that it has the same id as if these were made.
 * It is the whole image that counts: which digests the node knows already must not decide about another's id.
 */
async function nameLinked(layers: readonly ContentLayer[], known: NamedContents, stage: NativeStage) {
  const linked = await linkedDigests(layers, stage)
  const bytes = [...linked.values()].reduce((sum, { size }) => sum + size, 0)
  if (bytes > CHEAP_BYTES) return linked
  return merge(
    known,
    await hashTars(
      layers.filter(layer => !known.has(layer)),
      stage,
    ),
  )
}

async function linkedDigests(layers: readonly ContentLayer[], { paths }: NativeStage): Promise<NamedContents> {
  const infos = await paths.infoOf(layers.flatMap(({ layer }) => storePathsOf(layer)))
  return new Map(layers.map(source => [source, { source, namedBy: 'content', ...linkedDigest(source.layer, infos) }]))
}

function merge(one: NamedContents, other: NamedContents): NamedContents {
  return new Map([...one, ...other])
}
