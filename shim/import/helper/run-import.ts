import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { connectContainerd } from '../../containerd/connect.ts'
import { createImageWriter } from '../../containerd/image-writer.ts'
import { FOLDER_SNAPSHOTTER } from '../../containerd/services/constants.ts'
import { toContainerdFailure } from '../../containerd/services/failure.ts'
import type { Lease } from '../../containerd/services/leases.ts'
import { createSnapshotStore } from '../../containerd/snapshot-store.ts'
import type { ImageForm } from '../../containerd/usable.ts'
import { openImageCache } from '../archive/image-cache.ts'
import { checkConfigSize, checkPinnedDigest, refuseForeign } from '../image/check-image.ts'
import type { ImportOutcome, ImportProgress, LinkingReport } from '../image/contract.ts'
import type { ParsedImage } from '../image/parsed-image.ts'
import { createSizeLimit } from '../image/size-limit.ts'
import { type Closure, openClosure } from '../store/closure.ts'
import { openStoreLayers } from '../store-layers/context.ts'
import { type ImportContext, importImage } from './import-image.ts'
import { endDeadLeases, underLease } from './leases.ts'
import type { ImportJob } from './messages.ts'

export interface ImportRun {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
  /** Called once the import's lease is gone. */
  readonly onLeaseEnded: () => void
  readonly queryClosure: (storePath: string) => Promise<readonly StorePathInfo[]>
  readonly onLinking: (linking: LinkingReport) => void
}

/** Runs one import from start to end. Throws a ShimError. */
export async function runImport(job: ImportJob, run: ImportRun): Promise<ImportOutcome> {
  using client = connectContainerd(job.containerd, run.signal)
  const closures = openClosures(job, run)
  // A failure is reported where they are awaited, unless something else fails first.
  closures.catch(() => {})
  try {
    await endDeadLeases(client, job)
    const importHeld = async (lease: Lease) => importAndPublish({ lease, ...(await closures) }, job, run)
    return await underLease(client, job, importHeld, { onEnded: run.onLeaseEnded })
  } catch (error) {
    run.signal.throwIfAborted()
    throw toContainerdFailure(error)
  }
}

interface Held {
  readonly lease: Lease
  /** Closure of the build result that holds the image. */
  readonly closure: Closure
  /** Closure of the package. It differs if the package is a program that has written the image. */
  readonly built: Closure
}

async function openClosures({ archive, storePath }: ImportJob, { queryClosure }: ImportRun) {
  const built = openClosure(storePath, queryClosure)
  const closure = archive === undefined ? built : openClosure(archive, queryClosure)
  const [ofImage, ofPackage] = await Promise.all([closure, built])
  return { closure: ofImage, built: ofPackage }
}

async function importAndPublish(
  { lease, closure, built }: Held,
  job: ImportJob,
  { signal, onProgress, onLinking }: ImportRun,
): Promise<ImportOutcome> {
  const { image, labels, storePath } = job
  const writer = createImageWriter({ lease, form: formOf(job), image })
  const snapshots = createSnapshotStore(lease, job.containerd.snapshotter)
  await using storeLayers = openStoreLayers({
    snapshotter: snapshots.snapshotter,
    probe: storePath,
    digestsFolder: job.digestsFolder,
    viewFolder: job.viewFolder,
    trustStore: job.trustStore,
    layers: job.layers,
    signal,
    onLinking,
  })
  const context: ImportContext = {
    ...storeLayers,
    snapshots,
    writer,
    closure,
    packageInfos: built.infos,
    images: openImageCache(job.plansFolder),
    limit: createSizeLimit(job.maxImageSize),
    signal,
    onProgress,
  }
  const check = (parsed: ParsedImage) => {
    checkPinnedDigest(image, parsed)
    checkConfigSize(parsed)
  }
  const made = await importImage(job, context, check)
  if ('program' in made) return made
  // Checks what is published. Earlier checks only save time.
  check(made)
  await snapshots.persist()
  const { config, manifest, chainId } = made
  await writer.publish({ config, manifest, chainId, labels, check: present => refuseForeign(job, present) })
  return { imageId: config.digest, manifestDigest: manifest.digest, sentBytes: writer.sentBytes() }
}

/** Files can only be linked into the folders of FOLDER_SNAPSHOTTER. */
function formOf({ containerd: { snapshotter }, layers }: ImportJob): ImageForm {
  return { snapshotter, layers: snapshotter === FOLDER_SNAPSHOTTER ? layers : 'tar' }
}
