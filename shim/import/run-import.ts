import { createCalls } from '../containerd/calls.ts'
import { createConnection } from '../containerd/connection.ts'
import { blobInfo } from '../containerd/content.ts'
import { toContainerdFailure } from '../containerd/failure.ts'
import { createImageWriter, type ImageWriter } from '../containerd/image-writer.ts'
import type { Lease } from '../containerd/leases.ts'
import { createUnpacker, type Unpacker } from '../containerd/unpack.ts'
import type { ImportedImage, ImportProgress } from './contract.ts'
import { archiveInvalid } from './invalid.ts'
import type { ImportJob } from './job.ts'
import type { StoredLayer } from './layout-files.ts'
import type { ImagePlan } from './plan.ts'
import { openPlanMemory } from './plan-memory.ts'
import { readImage } from './read-image.ts'
import { refuseForeign } from './refuse-foreign.ts'
import { endDeadLeases, underLease } from './under-lease.ts'

export interface ImportRun {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
  readonly onStaleLeasesEnded: () => void
  /** Told the process group of a stream script, and nothing once that has ended. */
  readonly onScript: (pid?: number) => void
}

/** One import from start to end. Throws a ShimError. */
export async function runImport(job: ImportJob, run: ImportRun): Promise<ImportedImage> {
  const { address, namespace } = job.containerd
  const connection = createConnection(address)
  const calls = createCalls(connection, { namespace, signal: run.signal })
  try {
    await endDeadLeases(calls, job)
    run.onStaleLeasesEnded()
    return await underLease(calls, job, lease => importImage(lease, job, run))
  } catch (error) {
    run.signal.throwIfAborted()
    throw toContainerdFailure(error)
  } finally {
    connection.close()
  }
}

async function importImage(lease: Lease, job: ImportJob, run: ImportRun): Promise<ImportedImage> {
  const { storePath, image, labels } = job
  const { snapshotter } = job.containerd
  let layerCount: number | undefined
  const onUnpacked = (done: number) => {
    if (layerCount !== undefined) run.onProgress({ phase: 'unpacking', done, expected: layerCount })
  }
  const writer = createImageWriter({ lease, snapshotter, image })
  const unpacker = createUnpacker({ lease, snapshotter, onUnpacked })
  const memory = openPlanMemory(job.plansFolder)

  const remembered = await memory.recall(storePath)
  const present = remembered && (await isPresent(lease, writer, remembered))
  const plan = present ? remembered : await read(job, run, writer, unpacker)
  checkPinnedDigest(image, plan)
  layerCount = plan.layers.length
  const chainId = await unpacker.complete(plan.layers, { verified: plan === remembered })
  await writer.publish({ ...plan, chainId, labels, check: present => refuseForeign(job, present) })
  if (plan !== remembered) await memory.remember(storePath, plan)
  return { imageId: plan.config.digest, manifestDigest: plan.manifest.digest, sentBytes: writer.sentBytes() }
}

/** Whether all that came out of the output is in the content store still. The manifest there holds its layers. */
async function isPresent(lease: Lease, writer: ImageWriter, { manifest, layers }: ImagePlan): Promise<boolean> {
  if ((await writer.find(manifest.digest)) === undefined) return false
  const found = await Promise.all(layers.map(({ digest }) => blobInfo(lease.calls, digest)))
  return layers.every(({ size }, index) => found[index]?.size === size)
}

function read({ storePath, scriptUser }: ImportJob, run: ImportRun, store: ImageWriter, unpacker: Unpacker) {
  return readImage(storePath, {
    store,
    user: scriptUser,
    signal: run.signal,
    onStart: run.onScript,
    onEnd: () => run.onScript(),
    onLayer: layer => expectLayer(unpacker, layer),
    onRead: (doneBytes, totalBytes) =>
      run.onProgress({ phase: 'importing', doneBytes, ...(totalBytes !== undefined && { totalBytes }) }),
  })
}

function expectLayer(unpacker: Unpacker, { compression, digest, size }: StoredLayer): void {
  if (compression === 'xz') return
  const suffix = compression === 'none' ? '' : `+${compression}`
  unpacker.expect({ mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`, digest, size })
}

/** A reference may name the very manifest that it wants. */
function checkPinnedDigest(image: string, { manifest }: ImagePlan): void {
  const pinned = /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1]
  if (pinned === undefined || pinned === manifest.digest) return
  throw archiveInvalid(`has the manifest ${manifest.digest}, while the image reference asks for ${pinned}`)
}
