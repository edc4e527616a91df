import { chainsOf } from '../containerd/chain.ts'
import { blobInfo } from '../containerd/content.ts'
import type { ImageWriter } from '../containerd/image-writer.ts'
import type { Lease } from '../containerd/leases.ts'
import { isUnpacked, type Unpacker } from '../containerd/unpack.ts'
import type { ImportProgress } from './contract.ts'
import type { StoredLayer } from './layout-files.ts'
import { LAYER_TYPE } from './manifest.ts'
import type { ImageOutput } from './output.ts'
import type { FilledImage, ImagePlan, ReadPlan } from './plan.ts'
import type { PlanMemory } from './plan-memory.ts'
import { readImage } from './read-image.ts'
import type { SizeLimit } from './size-limit.ts'
import type { ScriptRun } from './stream-script.ts'

/** What an import of an archive works with. */
export interface ArchiveStage extends ScriptRun {
  readonly lease: Lease
  readonly snapshotter: string
  readonly writer: ImageWriter
  readonly memory: PlanMemory
  readonly limit: SizeLimit
  readonly createUnpacker: (onUnpacked: (done: number) => void) => Unpacker
  readonly onProgress: (progress: ImportProgress) => void
}

export interface ArchiveImport {
  /** Path of the output below the Nix store. */
  readonly storePath: string
  readonly output: ImageOutput
  /** Whether snapshots will do, without the blobs that they were made of. */
  readonly withoutBlobs: boolean
  /** Throws when the image is none that is wanted. */
  readonly check: (plan: ImagePlan) => void
}

/** Brings the layers of an image that is there in full into containerd, and unpacks them. */
export async function importArchive(archive: ArchiveImport, stage: ArchiveStage): Promise<FilledImage> {
  const { memory } = stage
  let layerCount: number | undefined
  const unpacker = stage.createUnpacker(done => {
    if (layerCount !== undefined) stage.onProgress({ phase: 'unpacking', done, expected: layerCount })
  })
  const remembered = await memory.recall(archive.storePath)
  const present = remembered && (await isPresent(remembered, archive, stage))
  const plan = present ? remembered : await read(archive.output, unpacker, stage)
  stage.limit.add(plan.unpackedSize)
  archive.check(plan)
  layerCount = plan.layers.length
  const chainId = await unpacker.complete(plan.layers, { verified: plan === remembered })
  if (plan !== remembered) await memory.remember(archive.storePath, plan)
  return { ...plan, chainId }
}

/** Whether all that is needed of the image is in containerd still. */
async function isPresent(plan: ImagePlan, { withoutBlobs }: ArchiveImport, stage: ArchiveStage): Promise<boolean> {
  const { lease, snapshotter, writer } = stage
  const { manifest, layers } = plan
  if (withoutBlobs) {
    const top = chainsOf(layers.map(({ diffId }) => diffId)).at(-1)
    if (top !== undefined && (await isUnpacked(lease, { calls: lease.calls, name: snapshotter }, top))) return true
  }
  // The manifest there holds its layers.
  if ((await writer.find(manifest.digest)) === undefined) return false
  const found = await Promise.all(layers.map(({ digest }) => blobInfo(lease.calls, digest)))
  return layers.every(({ size }, index) => found[index]?.size === size)
}

function read(output: ImageOutput, unpacker: Unpacker, stage: ArchiveStage): Promise<ReadPlan> {
  return readImage(output, {
    ...stage,
    store: stage.writer,
    onLayer: layer => expectLayer(unpacker, layer),
    onRead: (doneBytes, totalBytes) =>
      stage.onProgress({ phase: 'importing', doneBytes, ...(totalBytes !== undefined && { totalBytes }) }),
  })
}

function expectLayer(unpacker: Unpacker, { compression, digest, size }: StoredLayer): void {
  if (compression === 'xz') return
  const suffix = compression === 'none' ? '' : `+${compression}`
  unpacker.expect({ mediaType: `${LAYER_TYPE}${suffix}`, digest, size })
}
