import { chainsOf } from '../../containerd/chain.ts'
import type { ImageWriter } from '../../containerd/image-writer.ts'
import type { LayerKeeper } from '../../containerd/layer-keeper.ts'
import { blobInfo } from '../../containerd/services/content.ts'
import type { Unpacker } from '../../containerd/unpack.ts'
import type { ImageOutput } from '../formats/build-output.ts'
import type { ImportProgress } from '../image/contract.ts'
import { LAYER_TYPE } from '../image/manifest.ts'
import type { ArchivePlan, FilledImage, ImagePlan } from '../image/parsed-image.ts'
import type { SizeLimit } from '../image/size-limit.ts'
import type { Closure } from '../store/closure.ts'
import type { StoreInfos } from '../store-layers/digest-keys.ts'
import type { StoredLayer } from './layout.ts'
import { type PlanMemory, planKey } from './plan-memory.ts'
import { readImage } from './read-image.ts'

/** What an import of an archive works with. */
export interface ArchiveStage {
  readonly closure: Closure
  /** Of the package and all that it refers to, also where a program of it has written the archive. */
  readonly packageInfos: StoreInfos
  readonly keeper: LayerKeeper
  readonly writer: ImageWriter
  readonly memory: PlanMemory
  readonly limit: SizeLimit
  readonly createUnpacker: (onUnpacked: (done: number) => void) => Unpacker
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export interface KnownArchive {
  /** Path of the output below the Nix store: what is remembered goes by it. */
  readonly storePath: string
  /** Normalised reference of the image that is wanted, in case there are several; missing: of a base image. */
  readonly image: string | undefined
  /** Whether snapshots will do, without the blobs that they were made of. */
  readonly withoutBlobs: boolean
  /** Throws when the image is none that is wanted. */
  readonly check: (plan: ImagePlan) => void
}

export interface ArchiveImport extends KnownArchive {
  readonly output: ImageOutput
}

/** Brings the layers of an image that is there in full into containerd, and unpacks them. */
export async function importArchive(archive: ArchiveImport, stage: ArchiveStage): Promise<FilledImage> {
  const recalled = await recallArchive(archive, stage)
  if (recalled) return recalled
  const unpacking = startUnpacking(stage)
  const { isOneOfSeveral, ...plan } = await read(archive, unpacking.unpacker, stage)
  stage.limit.add(plan.unpackedSize)
  archive.check(plan)
  const filled = await unpacking.complete(plan)
  await stage.memory.remember(isOneOfSeveral ? namedKey(archive, stage) : commonKey(archive, stage), plan)
  return filled
}

/** Unpacks an image that was read before, without its output; undefined when not all that is needed is in containerd still. */
export async function recallArchive(archive: KnownArchive, stage: ArchiveStage): Promise<FilledImage | undefined> {
  const { memory } = stage
  const plan = (await memory.recall(commonKey(archive, stage))) ?? (await memory.recall(namedKey(archive, stage)))
  if (!plan) return undefined
  const [chainId, areThere] = await Promise.all([findUnpacked(plan, stage), areBlobsThere(plan, stage)])
  if (!areThere && !(archive.withoutBlobs && chainId !== undefined)) return undefined
  stage.limit.add(plan.unpackedSize)
  archive.check(plan)
  return chainId === undefined ? startUnpacking(stage).complete(plan) : { ...plan, chainId }
}

function commonKey({ storePath }: KnownArchive, { packageInfos }: ArchiveStage): string {
  return planKey(storePath, packageInfos)
}

function namedKey({ storePath, image = '' }: KnownArchive, { packageInfos }: ArchiveStage): string {
  return planKey(storePath, packageInfos, image)
}

function startUnpacking(stage: ArchiveStage) {
  let layerCount: number | undefined
  const unpacker = stage.createUnpacker(done => {
    if (layerCount !== undefined) stage.onProgress({ phase: 'unpacking', done, expected: layerCount })
  })
  return {
    unpacker,
    async complete(plan: ImagePlan): Promise<FilledImage> {
      layerCount = plan.layers.length
      return { ...plan, chainId: await unpacker.complete(plan.layers) }
    },
  }
}

/** ChainID of the image's snapshot, empty for no layers; undefined when it, or one below it, is not there with its files. */
async function findUnpacked({ layers }: ImagePlan, { keeper }: ArchiveStage): Promise<string | undefined> {
  const chain = chainsOf(layers.map(({ diffId }) => diffId))
  const count = await keeper.inspect(chain)
  return count === chain.length && !chain.some(keeper.isLost) ? (chain.at(-1) ?? '') : undefined
}

/** Whether manifest and layers are in containerd still, and now held by the lease. */
async function areBlobsThere({ manifest, layers }: ImagePlan, { keeper, writer }: ArchiveStage): Promise<boolean> {
  // The manifest there holds its layers.
  if ((await writer.find(manifest.digest)) === undefined) return false
  const found = await Promise.all(layers.map(({ digest }) => blobInfo(keeper.lease.calls, digest)))
  return layers.every(({ size }, index) => found[index]?.size === size)
}

function read({ output, image }: ArchiveImport, unpacker: Unpacker, stage: ArchiveStage): Promise<ArchivePlan> {
  return readImage(output, {
    ...stage,
    image,
    store: stage.writer,
    onLayer: (layer, place) => expectLayer(unpacker, layer, place),
    onRead: (doneBytes, totalBytes) =>
      stage.onProgress({ phase: 'importing', doneBytes, ...(totalBytes !== undefined && { totalBytes }) }),
  })
}

function expectLayer(unpacker: Unpacker, { compression, digest, size }: StoredLayer, place: number): void {
  if (compression === 'xz') return
  const suffix = compression === 'none' ? '' : `+${compression}`
  unpacker.expect({ mediaType: `${LAYER_TYPE}${suffix}`, digest, size }, place)
}
