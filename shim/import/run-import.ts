import { createCalls } from '../containerd/calls.ts'
import { createConnection } from '../containerd/connection.ts'
import { toContainerdFailure } from '../containerd/failure.ts'
import { createImageWriter } from '../containerd/image-writer.ts'
import type { Lease } from '../containerd/leases.ts'
import { createUnpacker } from '../containerd/unpack.ts'
import { openClosure } from './closure.ts'
import type { ImportOutcome, ImportProgress, StorePathInfo, StoreQuery } from './contract.ts'
import type { ArchiveStage } from './import-archive.ts'
import { archiveInvalid } from './invalid.ts'
import type { ImportJob } from './job.ts'
import type { LinkingReport } from './linking-report.ts'
import { makeImage } from './make-image.ts'
import { openNativeStage } from './native/open-stage.ts'
import type { ImagePlan } from './plan.ts'
import { openPlanMemory } from './plan-memory.ts'
import { refuseForeign } from './refuse-foreign.ts'
import { createSizeLimit } from './size-limit.ts'
import { endDeadLeases, underLease } from './under-lease.ts'

export interface ImportRun {
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
  readonly onStaleLeasesEnded: () => void
  readonly queryStore: (query: StoreQuery) => Promise<readonly StorePathInfo[]>
  /** Told how the store's files get into snapshots, or why they can't. */
  readonly onLinking: (linking: LinkingReport) => void
}

/** One import from start to end. Throws a ShimError. */
export async function runImport(job: ImportJob, run: ImportRun): Promise<ImportOutcome> {
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

async function importImage(lease: Lease, job: ImportJob, run: ImportRun): Promise<ImportOutcome> {
  const { image, labels } = job
  const { snapshotter } = job.containerd
  const closure = await openClosure(job.archive ?? job.storePath, run.queryStore)
  const writer = createImageWriter({ lease, snapshotter, image })
  const limit = createSizeLimit(job.maxImageSize)
  const archives: ArchiveStage = {
    lease,
    snapshotter,
    writer,
    memory: openPlanMemory(job.plansFolder),
    limit,
    createUnpacker: onUnpacked => createUnpacker({ lease, snapshotter, onUnpacked }),
    closure,
    signal: run.signal,
    onProgress: run.onProgress,
  }
  await using native = openNativeStage({ lease, snapshotter, writer, closure, limit }, job, run)
  const made = await makeImage(job, { archives, native: native.stage, closure }, plan => checkPinnedDigest(image, plan))
  if ('program' in made) return made
  const { config, manifest } = made
  await writer.publish({ config, manifest, labels, check: present => refuseForeign(job, present) })
  return { imageId: config.digest, manifestDigest: manifest.digest, sentBytes: writer.sentBytes() }
}

/** A reference may name the very manifest that it wants. */
function checkPinnedDigest(image: string, { manifest }: ImagePlan): void {
  const pinned = /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1]
  if (pinned === undefined || pinned === manifest.digest) return
  throw archiveInvalid(`has the manifest ${manifest.digest}, while the image reference asks for ${pinned}`)
}
