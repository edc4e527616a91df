import pMap from 'p-map'
import { digestOf } from '../json.ts'
import type { LayerDigest } from '../layers/digest-cache.ts'
import { TAR_THREADS } from '../layers/tar-threads.ts'
import { LAYER_TYPE } from '../manifest.ts'
import type { PlannedLayer } from '../plan.ts'
import type { NativeLayer, StoreFilesLayer, TarFileLayer } from '../sources/native-image.ts'
import { openStoreFile } from '../sources/store-file.ts'
import { allSettled } from './all-settled.ts'
import { makeStoreTar } from './blobs.ts'
import { linkedDigest } from './linked-digest.ts'
import type { NativeStage } from './stage.ts'

/** A layer with its digests, before it is certain that containerd has it. */
export interface IdentifiedLayer extends PlannedLayer {
  readonly source: NativeLayer
}

/**
 * Gives every layer its digests, reading as little as can be. With real tars wanted, those of unknown digest are made,
 * and are in the content store then.
 */
export async function identifyLayers(layers: readonly NativeLayer[], stage: NativeStage): Promise<IdentifiedLayer[]> {
  const stores = layers.filter(layer => layer.kind === 'store')
  const digests = await digestStoreLayers(stores, stage)
  return Promise.all(layers.map(source => identify(source, digests, stage)))
}

async function identify(
  source: NativeLayer,
  digests: ReadonlyMap<NativeLayer, LayerDigest>,
  { closure }: NativeStage,
): Promise<IdentifiedLayer> {
  if (source.kind === 'file') {
    const { mediaType, digest, diffId, path } = source
    await using file = await openStoreFile(path, closure)
    return { source, mediaType, digest, diffId, size: file.stats.size }
  }
  const known = whatIsKnown(source, digests)
  if (!known) throw new Error('a layer without a digest')
  return { source, mediaType: LAYER_TYPE, digest: known.diffId, ...known }
}

function whatIsKnown(
  source: Exclude<NativeLayer, TarFileLayer>,
  digests: ReadonlyMap<NativeLayer, LayerDigest>,
): LayerDigest | undefined {
  if (source.kind === 'merged') return source.promised
  if (source.kind === 'bytes') return { diffId: digestOf(source.bytes), size: source.bytes.length }
  return digests.get(source)
}

type Digests = Map<NativeLayer, LayerDigest>

async function digestStoreLayers(layers: readonly StoreFilesLayer[], stage: NativeStage): Promise<Digests> {
  const known = await knownDigests(layers, stage)
  const unknown = layers.filter(layer => !known.has(layer))
  if (unknown.length === 0) return known
  if (stage.wantsTars) return merge(known, await makeTars(unknown, stage))
  const opening = stage.linking()
  const identifying = identifyLinked(layers, known, stage)
  await allSettled([opening, identifying])
  return (await opening) ? identifying : merge(known, await makeTars(unknown, stage))
}

async function knownDigests(layers: readonly StoreFilesLayer[], { cache }: NativeStage): Promise<Digests> {
  const found = await Promise.all(layers.map(({ layer }) => cache.recall('tar', layer)))
  return new Map(layers.flatMap((layer, index) => pair(layer, found[index])))
}

/** Store paths of one image, in bytes, that are read through for the sake of real digests. */
const CHEAP_BYTES = 32 * 1024 * 1024

/**
 * An image that is read through quickly gets the digests of its tars, so that it has the same id as if these were made.
 * It is the whole image that counts: which digests the node knows already must not decide about another's id.
 */
async function identifyLinked(layers: readonly StoreFilesLayer[], known: Digests, stage: NativeStage) {
  const linked = await linkedDigests(layers, stage)
  const bytes = [...linked.values()].reduce((sum, { size }) => sum + size, 0)
  if (bytes > CHEAP_BYTES) return linked
  const unknown = layers.filter(layer => !known.has(layer))
  return merge(known, await makeDigests(unknown, stage))
}

async function linkedDigests(layers: readonly StoreFilesLayer[], { cache, paths }: NativeStage): Promise<Digests> {
  const cached = await Promise.all(layers.map(({ layer }) => cache.recall('nar', layer)))
  const digests: Digests = new Map(layers.flatMap((layer, index) => pair(layer, cached[index])))
  const unknown = layers.filter(layer => !digests.has(layer))
  const infos = paths.infoOf(unknown.flatMap(({ layer }) => layer.paths))
  for (const source of unknown) {
    const digest = linkedDigest(source.layer, infos)
    digests.set(source, digest)
    await cache.remember('nar', source.layer, digest)
  }
  return digests
}

async function makeTars(layers: readonly StoreFilesLayer[], stage: NativeStage): Promise<Digests> {
  const made = await pMap(layers, layer => makeStoreTar(layer, stage), { concurrency: TAR_THREADS })
  return new Map(layers.flatMap((layer, index) => pair(layer, made[index])))
}

async function makeDigests(layers: readonly StoreFilesLayer[], { tars, cache, paths }: NativeStage): Promise<Digests> {
  paths.infoOf(layers.flatMap(({ layer }) => layer.paths))
  const digest = async ({ layer }: StoreFilesLayer) => {
    const made = await tars.digest(layer)
    await cache.remember('tar', layer, made)
    return made
  }
  const made = await pMap(layers, digest, { concurrency: TAR_THREADS })
  return new Map(layers.flatMap((layer, index) => pair(layer, made[index])))
}

function pair(layer: NativeLayer, digest: LayerDigest | undefined): [NativeLayer, LayerDigest][] {
  return digest ? [[layer, digest]] : []
}

function merge(one: Digests, other: Digests): Digests {
  return new Map([...one, ...other])
}
