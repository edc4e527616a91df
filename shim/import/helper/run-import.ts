import type { ImageProgram } from '../../../recipes/built-package.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'
import { connectContainerd } from '../../containerd/connect.ts'
import { createImageWriter } from '../../containerd/image-writer.ts'
import { FOLDER_SNAPSHOTTER } from '../../containerd/services/constants.ts'
import { toContainerdFailure } from '../../containerd/services/failure.ts'
import type { Lease } from '../../containerd/services/leases.ts'
import { createSnapshotStore } from '../../containerd/snapshot-store.ts'
import type { ImageForm } from '../../containerd/usable.ts'
import { openImageCache } from '../archive/image-cache.ts'
import { type ArchiveContext, type ArchiveRequest, importArchive, recallArchive } from '../archive/import-archive.ts'
import { isSnapshotterImage, readSnapshotterImage } from '../formats/nix-snapshotter/image.ts'
import { makePackageSetImage } from '../formats/package/package-set-image.ts'
import {
  findImageProgram,
  type RecognizedResult,
  readStoreImage,
  recognizeResult,
  recognizeWritten,
  requireArchive,
} from '../formats/recognize-result.ts'
import { checkConfigSize, checkPinnedDigest, refuseForeign } from '../image/check-image.ts'
import type { ImportOutcome, ImportProgress, LinkingReport } from '../image/contract.ts'
import type { ParsedImage, UnpackedImage } from '../image/parsed-image.ts'
import { createSizeLimit } from '../image/size-limit.ts'
import type { StoreImage } from '../image/store-image.ts'
import { type Closure, openClosure } from '../store/closure.ts'
import { openStoreLayers, type StoreLayersContext } from '../store-layers/context.ts'
import { importStoreImage } from '../store-layers/import-store-image.ts'
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
  await writer.publish({ ...made, labels, check: present => refuseForeign(job, present) })
  const { config, manifest } = made
  return { imageId: config.digest, manifestDigest: manifest.digest, sentBytes: writer.sentBytes() }
}

/** Files can only be linked into the folders of FOLDER_SNAPSHOTTER. */
function formOf({ containerd: { snapshotter }, layers }: ImportJob): ImageForm {
  return { snapshotter, layers: snapshotter === FOLDER_SNAPSHOTTER ? layers : 'tar' }
}

type ImportContext = ArchiveContext & StoreLayersContext

type ImageJob = Pick<ImportJob, 'storePath' | 'image' | 'archive' | 'plainPackage' | 'packageSet'>
type CheckImage = (image: ParsedImage) => void

/**
 * Brings an image into containerd, except for its records. If only a program can write the image, returns that program. `check`
 * throws if the image is not acceptable.
 */
async function importImage(
  job: ImageJob,
  context: ImportContext,
  check: CheckImage,
): Promise<UnpackedImage | { readonly program: ImageProgram }> {
  const { closure } = context
  const { storePath, archive, packageSet } = job
  if (packageSet) {
    const image = await makePackageSetImage({ union: storePath, closure, hints: packageSet })
    return importStoreImage({ image, base: undefined, check }, context)
  }
  if (archive !== undefined) return importWhole(await recognizeWritten(archive, closure), job, context, check)
  const result = await recognizeResult(storePath, closure)
  const image = await readStoreImage(result, job.plainPackage, closure)
  if (image) return importStoreImage({ image, base: await importBase(image, context), check }, context)
  if (result.kind !== 'script') return importWhole(result, job, context, check)
  const recalled = await recallArchive(wholeImage(job, check), context)
  if (recalled) return complete(recalled, context, check)
  return { program: await findImageProgram(result, storePath, closure) }
}

async function importBase({ base }: StoreImage, context: ImportContext): Promise<UnpackedImage | undefined> {
  if (base === undefined) return undefined
  const output = requireArchive(await recognizeResult(base, context.closure))
  const request = { storePath: base, image: undefined, withoutBlobs: !context.wantsTars, check: () => {} }
  return importArchive({ ...request, output }, context)
}

async function importWhole(
  result: RecognizedResult,
  job: ImageJob,
  context: ImportContext,
  check: CheckImage,
): Promise<UnpackedImage> {
  const output = requireArchive(result)
  return complete(await importArchive({ ...wholeImage(job, check), output }, context), context, check)
}

function wholeImage({ storePath, image }: ImageJob, check: CheckImage): ArchiveRequest {
  // An image of nix-snapshotter is checked once it is complete.
  return { storePath, image, withoutBlobs: false, check: parsed => isSnapshotterImage(parsed) || check(parsed) }
}

/** Adds the layers that nix-snapshotter would mount, or writes the documents of any other image. */
async function complete(image: UnpackedImage, context: ImportContext, check: CheckImage): Promise<UnpackedImage> {
  const completed = await readSnapshotterImage(image, context.closure)
  if (completed) return importStoreImage({ image: completed, base: image, check }, context)
  await context.writer.writeDocuments(image)
  return image
}
