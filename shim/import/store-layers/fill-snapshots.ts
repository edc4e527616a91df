import { chainOf } from '../../containerd/chain.ts'
import { prepareSnapshot, removeSnapshot } from '../../containerd/services/snapshots.ts'
import { folderOf } from '../../containerd/snapshot-folders.ts'
import { extractLayer } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import { storePathsOf } from '../layers/layer.ts'
import { requireInfos } from '../store/closure.ts'
import type { StoreLayersContext } from './context.ts'
import { ensureBlob } from './ensure-blob.ts'
import type { IdentifiedLayer } from './identify.ts'
import type { StagedLayer } from './linking.ts'

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
