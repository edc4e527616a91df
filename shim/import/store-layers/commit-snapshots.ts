import { RetryableError } from '../../../lib/errors.ts'
import { discardSnapshot, prepareSnapshot } from '../../containerd/services/snapshots.ts'
import { folderOf } from '../../containerd/snapshot-folders.ts'
import { chainOf } from '../../containerd/snapshot-store.ts'
import { extractLayer } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import { withFileBytes } from '../store/store-file.ts'
import { oneChunk } from '../streams/streams.ts'
import type { DigestedLayer } from './compute-digests.ts'
import type { StoreLayersContext } from './context.ts'
import type { StagedLayer } from './stage-layers.ts'
import { storeTar } from './tar-digests.ts'

/**
 * Makes the snapshots of an image, bottom first, on top of the one that `parent` names (empty for none). A layer gets into
 * containerd in one of three ways:
 *
 * 1. It is there: the snapshot of its chainID exists and has its files.
 * 2. Linked: its files are hard-linked from the store into a staging folder, and moved from there into a new snapshot.
 * 3. As a tar: its tar is written to the content store, and containerd unpacks it into a new snapshot.
 *
 * All layers are staged concurrently. Snapshots are committed one after another, as each has the one below as its parent.
 */
export async function commitSnapshots(
  layers: readonly DigestedLayer[],
  parent: string,
  context: StoreLayersContext,
): Promise<void> {
  const missing = await findMissing(layers, parent, context)
  if (missing.length === 0) return
  const staged = await stageLayers(
    missing.map(({ layer }) => layer),
    context,
  )
  for (const { layer, index, ...place } of missing) {
    const files = staged.get(layer)
    if (files && (await isAsDigested(layer, files))) await commitStaged(files, place, context)
    else await commitUnpacked(layer, place, context)
    context.onProgress({ phase: 'unpacking', done: index + 1, expected: layers.length })
  }
}

interface SnapshotPlace {
  readonly chainId: string
  /** ChainID of the layers below, empty for none. */
  readonly parent: string
}

interface MissingSnapshot extends SnapshotPlace {
  readonly layer: DigestedLayer
  readonly index: number
}

/** The layers without a snapshot, and those whose snapshot has lost its files or may have been made of another blob. */
async function findMissing(
  layers: readonly DigestedLayer[],
  parent: string,
  { snapshots }: StoreLayersContext,
): Promise<MissingSnapshot[]> {
  const chain: string[] = []
  for (const { diffId } of layers) chain.push(chainOf(chain.at(-1) ?? parent, diffId))
  const present = Math.min(await snapshots.inspect(chain), countCertain(layers))
  return layers.flatMap((layer, index) => {
    const chainId = chain[index] ?? ''
    const isUsable = index < present && !snapshots.isLost(chainId)
    return isUsable ? [] : [{ layer, index, chainId, parent: chain[index - 1] ?? parent }]
  })
}

/** How many of the layers, from the bottom up, are known to be what their diffIDs say. */
function countCertain(layers: readonly DigestedLayer[]): number {
  const uncertain = layers.findIndex(({ isUnpackingKnown }) => !isUnpackingKnown)
  return uncertain === -1 ? layers.length : uncertain
}

/** Begins to stage the layers of store files. Empty if they cannot be linked. */
async function stageLayers(
  layers: readonly DigestedLayer[],
  { limit, openStager }: StoreLayersContext,
): Promise<ReadonlyMap<DigestedLayer, StagedLayer>> {
  const sources = layers.flatMap(layer =>
    layer.source.kind === 'storeFiles' ? { layer, files: layer.source.files, size: layer.size } : [],
  )
  const stager = sources.length > 0 ? await openStager() : undefined
  if (!stager) return new Map()
  const staged = stager.stage(sources, limit.entryRoom())
  return new Map(sources.flatMap(({ layer }, index) => (staged[index] ? [[layer, staged[index]]] : [])))
}

/** Unpacking a tar takes the name of a whiteout for a deletion. Linked files would include the file of that name. */
async function isAsDigested({ digestKind }: DigestedLayer, staged: StagedLayer): Promise<boolean> {
  return digestKind === 'linked' || !(await staged.hasWhiteouts())
}

async function commitStaged(
  staged: StagedLayer,
  { parent, chainId }: SnapshotPlace,
  { snapshots }: StoreLayersContext,
): Promise<void> {
  const { snapshotter } = snapshots
  const prepared = await prepareSnapshot(snapshotter, parent)
  try {
    const folder = folderOf(prepared.mounts)
    if (folder === undefined) throw new Error(`containerd's ${snapshotter.name} has mounts of an unknown form`)
    await staged.moveInto(folder)
    await snapshots.commit(prepared, chainId)
  } catch (error) {
    await discardSnapshot(snapshotter, prepared.key)
    throw error
  }
}

/** Throws ArchiveInvalid if the layer does not unpack to its diffID. */
async function commitUnpacked(
  layer: DigestedLayer,
  { parent }: SnapshotPlace,
  context: StoreLayersContext,
): Promise<void> {
  await ensureBlob(layer, context)
  const diffId = await extractLayer({ snapshots: context.snapshots, parent }, layer)
  if (diffId !== layer.diffId)
    throw archiveInvalid(`has a layer ${layer.digest} that unpacks to ${diffId}, where ${layer.diffId} is expected`)
}

/**
 * Brings the layer's tar into the content store unless it is there. From then on the lease or the image's manifest holds it.
 * Throws ArchiveInvalid if the layer has changed, and StaleDigest.
 */
export async function ensureBlob(layer: DigestedLayer, context: StoreLayersContext): Promise<void> {
  const { source, digest } = layer
  if (await isHeld(digest, context)) return
  if ((await writeBlob(layer, context)) === digest) return
  if (source.kind === 'tarFile')
    throw archiveInvalid(`has a layer ${source.path} that was ${digest} before and has changed`)
  throw new StaleDigest(digest)
}

/** Whether containerd has the blob, and keeps it. */
async function isHeld(digest: string, { writer, wantsTars }: StoreLayersContext): Promise<boolean> {
  if (!(await writer.has(digest))) return false
  // If tars are wanted, the manifest was written before, and holds the blob. If not, the blob may be collected at any time.
  return wantsTars || (await writer.find(digest)) !== undefined
}

/** The remembered digest of a layer was wrong. It has been replaced, and the digests of all layers must be computed again. */
export class StaleDigest extends RetryableError {
  constructor(digest: string) {
    super(
      'ImportInterrupted',
      `the files of the layer ${digest} have changed since they were last read; if this repeats, check the store with "nix store verify --all"`,
    )
  }
}

async function writeBlob({ source }: DigestedLayer, context: StoreLayersContext): Promise<string> {
  if (source.kind === 'storeFiles') return (await storeTar(source.files, context)).digest
  const write = async (bytes: AsyncIterable<Buffer>) => (await context.writer.write(bytes)).digest
  return source.kind === 'tarFile' ? withFileBytes(source.path, context.closure, write) : write(oneChunk(source.bytes))
}
