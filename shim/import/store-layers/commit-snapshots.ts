import { prepareSnapshot, removeSnapshot } from '../../containerd/services/snapshots.ts'
import { folderOf } from '../../containerd/snapshot-folders.ts'
import { chainOf } from '../../containerd/snapshot-store.ts'
import { extractLayer } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import { storePathsOf } from '../image/store-image.ts'
import { requireInfos } from '../store/closure.ts'
import { withFileBytes } from '../store/store-file.ts'
import { oneChunk } from '../streams/streams.ts'
import type { IdentifiedLayer } from './compute-digests.ts'
import type { StoreLayersContext } from './context.ts'
import type { StagedLayer } from './stage-layers.ts'
import { makeTar } from './tar-digests.ts'

/**
 * Makes the snapshots that are missing, bottom first, on top of the one that `parent` names (empty for none). Where linking is
 * possible, the files of all layers are linked concurrently; only then are the layers put on top of one another.
 */
export async function fillSnapshots(
  layers: readonly IdentifiedLayer[],
  parent: string,
  context: StoreLayersContext,
): Promise<void> {
  const wanted = await findMissing(layers, parent, context)
  if (wanted.length === 0) return
  const staged = await stageLayers(
    wanted.map(({ layer }) => layer),
    context,
  )
  for (const { index, ...missing } of wanted) {
    await fillSnapshot({ ...missing, staged: staged.get(missing.layer) }, context)
    context.onProgress({ phase: 'unpacking', done: index + 1, expected: layers.length })
  }
}

interface MissingSnapshot {
  readonly layer: IdentifiedLayer
  readonly index: number
  /** Chain id. */
  readonly name: string
  /** Chain id of the layers below. */
  readonly parent: string
}

async function findMissing(
  layers: readonly IdentifiedLayer[],
  parent: string,
  { keeper }: StoreLayersContext,
): Promise<MissingSnapshot[]> {
  const chain: string[] = []
  for (const { diffId } of layers) chain.push(chainOf(chain.at(-1) ?? parent, diffId))
  const present = Math.min(await keeper.inspect(chain), countCertain(layers))
  return layers.flatMap((layer, index) => {
    const name = chain[index] ?? ''
    const isUsable = index < present && !keeper.isLost(name)
    return isUsable ? [] : [{ layer, index, name, parent: chain[index - 1] ?? parent }]
  })
}

/** How many of the layers, from the bottom up, are known to be what their diff ids say. */
function countCertain(layers: readonly IdentifiedLayer[]): number {
  const uncertain = layers.findIndex(({ isUnpackingKnown }) => !isUnpackingKnown)
  return uncertain === -1 ? layers.length : uncertain
}

async function stageLayers(
  layers: readonly IdentifiedLayer[],
  { closure, limit, linking: openLinking }: StoreLayersContext,
): Promise<ReadonlyMap<IdentifiedLayer, StagedLayer>> {
  const sources = layers.flatMap(layer =>
    layer.source.kind === 'files' ? { layer, files: layer.source.layer, size: layer.size } : [],
  )
  const linking = sources.length > 0 ? await openLinking() : undefined
  requireInfos(
    closure,
    sources.flatMap(({ files }) => storePathsOf(files)),
  )
  if (!linking) return new Map()
  const staged = linking.stage(sources, limit.room())
  return new Map(sources.flatMap(({ layer }, index) => (staged[index] ? [[layer, staged[index]]] : [])))
}

interface Filling extends Omit<MissingSnapshot, 'index'> {
  readonly staged: StagedLayer | undefined
}

async function fillSnapshot({ layer, staged, ...place }: Filling, context: StoreLayersContext): Promise<void> {
  if (staged && (await isAsDigested(layer, staged))) return commitStaged(staged, place, context)
  await ensureBlob(layer, context)
  const diffId = await extractLayer({ keeper: context.keeper, parent: place.parent }, layer)
  if (diffId !== layer.diffId)
    throw archiveInvalid(`has a layer ${layer.digest} that unpacks to ${diffId}, where ${layer.diffId} is expected`)
}

/** A whiteout's name is that of a file in the store; what a tar with it unpacks to has no such file. */
async function isAsDigested({ digestKind }: IdentifiedLayer, staged: StagedLayer): Promise<boolean> {
  return digestKind === 'linked' || !(await staged.hasWhiteouts())
}

async function commitStaged(
  staged: StagedLayer,
  { parent, name }: Pick<MissingSnapshot, 'parent' | 'name'>,
  { keeper }: StoreLayersContext,
): Promise<void> {
  const { snapshotter } = keeper
  const filled = await prepareSnapshot(snapshotter, parent)
  try {
    const folder = folderOf(filled.mounts)
    if (folder === undefined) throw new Error(`containerd's ${snapshotter.name} has mounts of an unknown form`)
    await staged.moveInto(folder)
    await keeper.commit(filled, name)
  } catch (error) {
    await removeSnapshot(snapshotter, filled.key)
    throw error
  }
}

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
