import { chainOf } from '../../containerd/chain.ts'
import { folderOf } from '../../containerd/services/mount-folder.ts'
import { prepareSnapshot, removeSnapshot } from '../../containerd/services/snapshots.ts'
import { extractLayer } from '../../containerd/unpack.ts'
import { archiveInvalid } from '../image/errors.ts'
import { type FilesLayer, storePathsOf } from '../layers/files-layer.ts'
import { ensureBlob } from './blobs.ts'
import type { IdentifiedLayer } from './identify.ts'
import type { StagedLayer } from './linking.ts'
import type { NativeStage } from './stage.ts'

/**
 * Makes the snapshots that are missing, bottom first, on top of the one that `parent` names (empty for none). Files of
 * the store are linked where that is possible, all layers at once; only then they are put on top of one another.
 */
export async function fillSnapshots(
  layers: readonly IdentifiedLayer[],
  parent: string,
  stage: NativeStage,
): Promise<void> {
  const chain: string[] = []
  for (const { diffId } of layers) chain.push(chainOf(chain.at(-1) ?? parent, diffId))
  const present = Math.min(await stage.keeper.inspect(chain), countCertain(layers))
  const wanted = layers.flatMap((layer, index) => {
    const name = chain[index] ?? ''
    const isUsable = index < present && !stage.keeper.isLost(name)
    return isUsable ? [] : [{ layer, index, name, parent: chain[index - 1] ?? parent }]
  })
  if (wanted.length === 0) return
  const staged = await stageLayers(
    wanted.map(({ layer }) => layer),
    stage,
  )
  for (const { layer, index, ...place } of wanted) {
    await fillSnapshot({ layer, staged: staged.get(layer), ...place }, stage)
    stage.onProgress({ phase: 'unpacking', done: index + 1, expected: layers.length })
  }
}

/** How many of the layers, from the bottom up, are known to be what their diffIDs say. */
function countCertain(layers: readonly IdentifiedLayer[]): number {
  const uncertain = layers.findIndex(({ isUnpackingKnown }) => !isUnpackingKnown)
  return uncertain === -1 ? layers.length : uncertain
}

async function stageLayers(layers: readonly IdentifiedLayer[], stage: NativeStage) {
  const stores = layers.flatMap(layer => {
    const files = filesOf(layer)
    return files ? { layer, files } : []
  })
  const linking = stores.length > 0 ? await stage.linking() : undefined
  await stage.paths.infoOf(stores.flatMap(({ files }) => storePathsOf(files)))
  if (!linking) return new Map<IdentifiedLayer, StagedLayer>()
  const staged = linking.stage(
    stores.map(({ files, layer }) => ({ files, size: layer.size })),
    stage.limit.room(),
  )
  return new Map(stores.flatMap(({ layer }, index) => (staged[index] ? [[layer, staged[index]]] : [])))
}

function filesOf({ source }: IdentifiedLayer): FilesLayer | undefined {
  return source.kind === 'store' || source.kind === 'merged' ? source.layer : undefined
}

interface Filling {
  readonly layer: IdentifiedLayer
  readonly staged: StagedLayer | undefined
  /** ChainID. */
  readonly name: string
  /** ChainID of the layers below. */
  readonly parent: string
}

async function fillSnapshot({ layer, staged, name, parent }: Filling, stage: NativeStage): Promise<void> {
  if (staged && (await isAsNamed(layer, staged))) return commitStaged(staged, { parent, name }, stage)
  await ensureBlob(layer, stage)
  const diffId = await extractLayer({ keeper: stage.keeper, parent }, layer)
  if (diffId !== layer.diffId)
    throw archiveInvalid(`has a layer ${layer.digest} that unpacks to ${diffId}, where ${layer.diffId} is expected`)
}

/** A file with the name of a whiteout is one in the store, and none in what a tar unpacks to. */
async function isAsNamed({ namedBy }: IdentifiedLayer, staged: StagedLayer): Promise<boolean> {
  return namedBy === 'content' || !(await staged.hasWhiteouts())
}

async function commitStaged(
  staged: StagedLayer,
  { parent, name }: { parent: string; name: string },
  { keeper }: NativeStage,
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
