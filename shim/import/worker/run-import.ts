import { createCalls } from '../../../lib/grpc/calls.ts'
import { createConnection } from '../../../lib/grpc/connection.ts'
import { createImageWriter } from '../../containerd/image-writer.ts'
import { createLayerKeeper, FOLDER_SNAPSHOTTER } from '../../containerd/layer-keeper.ts'
import { toContainerdFailure } from '../../containerd/services/failure.ts'
import type { Lease } from '../../containerd/services/leases.ts'
import { createUnpacker } from '../../containerd/unpack.ts'
import type { ImageForm } from '../../containerd/usable.ts'
import type { ArchiveStage } from '../archive/import-archive.ts'
import { openPlanMemory } from '../archive/plan-memory.ts'
import { checkConfigSize } from '../image/check-image.ts'
import { checkPinnedDigest } from '../image/check-pinned-digest.ts'
import type { ImportOutcome, ImportProgress, StorePathInfo } from '../image/contract.ts'
import type { ImagePlan } from '../image/parsed-image.ts'
import { refuseForeign } from '../image/refuse-foreign.ts'
import { createSizeLimit } from '../image/size-limit.ts'
import { type Closure, openClosure } from '../store/closure.ts'
import { openNativeStage } from '../store-layers/open-stage.ts'
import { makeImage } from './import-image.ts'
import { endDeadLeases, underLease } from './leases.ts'
import type { LinkingReport } from './linking-report.ts'
import type { ImportJob } from './messages.ts'

export interface ImportRun {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
  /** The import's lease is gone. */
  readonly onLeaseEnded: () => void
  readonly queryClosure: (storePath: string) => Promise<readonly StorePathInfo[]>
  /** Told how the store's files get into snapshots, or why they can't. */
  readonly onLinking: (linking: LinkingReport) => void
}

/** One import from start to end. Throws a ShimError. */
export async function runImport(job: ImportJob, run: ImportRun): Promise<ImportOutcome> {
  const { address, namespace } = job.containerd
  const connection = createConnection(address)
  const calls = createCalls(connection, { namespace, signal: run.signal })
  const closures = openClosures(job, run)
  // Who waits for them hears of it, if anybody comes to that.
  closures.catch(() => {})
  try {
    await endDeadLeases(calls, job)
    const importHeld = async (lease: Lease) => importImage({ lease, ...(await closures) }, job, run)
    return await underLease(calls, job, importHeld, { onEnded: run.onLeaseEnded })
  } catch (error) {
    run.signal.throwIfAborted()
    throw toContainerdFailure(error)
  } finally {
    connection.close()
  }
}

interface Surroundings {
  readonly lease: Lease
  /** Of what holds the image. */
  readonly closure: Closure
  /** Of the package, which may have written it. */
  readonly built: Closure
}

async function openClosures({ archive, storePath }: ImportJob, { queryClosure }: ImportRun) {
  const built = openClosure(storePath, queryClosure)
  const closure = archive === undefined ? built : openClosure(archive, queryClosure)
  const [ofImage, ofPackage] = await Promise.all([closure, built])
  return { closure: ofImage, built: ofPackage }
}

async function importImage(
  { lease, closure, built }: Surroundings,
  job: ImportJob,
  run: ImportRun,
): Promise<ImportOutcome> {
  const { image, labels } = job
  const { snapshotter } = job.containerd
  const writer = createImageWriter({ lease, form: formOf(job), image })
  const keeper = createLayerKeeper(lease, snapshotter)
  const limit = createSizeLimit(job.maxImageSize)
  const archives: ArchiveStage = {
    keeper,
    writer,
    memory: openPlanMemory(job.plansFolder),
    limit,
    createUnpacker: onUnpacked => createUnpacker({ keeper, onUnpacked }),
    closure,
    packageInfos: built.infos,
    signal: run.signal,
    onProgress: run.onProgress,
  }
  await using native = openNativeStage({ keeper, writer, closure, limit }, job, run)
  const check = (plan: ImagePlan) => {
    checkPinnedDigest(image, plan)
    checkConfigSize(plan)
  }
  const made = await makeImage(job, { archives, native: native.stage, closure }, check)
  if ('program' in made) return made
  // Once more of what is published, whatever way it was made: those before are for the sake of time.
  check(made)
  await keeper.settle()
  const { config, manifest, chainId } = made
  await writer.publish({ config, manifest, chainId, labels, check: present => refuseForeign(job, present) })
  return { imageId: config.digest, manifestDigest: manifest.digest, sentBytes: writer.sentBytes() }
}

/** Other snapshotters than the one with plain folders are filled from tars. */
function formOf({ containerd: { snapshotter }, layers }: ImportJob): ImageForm {
  return { snapshotter, layers: snapshotter === FOLDER_SNAPSHOTTER ? layers : 'tar' }
}
