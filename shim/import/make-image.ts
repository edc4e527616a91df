import type { StorePathInfo, StoreQuery } from './contract.ts'
import { type ArchiveImport, type ArchiveStage, importArchive } from './import-archive.ts'
import type { ImportJob } from './job.ts'
import { importNative } from './native/import-native.ts'
import type { NativeStage } from './native/stage.ts'
import { type ImageOutput, notAnImage, type Output, recogniseOutput } from './output.ts'
import type { FilledImage, ImagePlan } from './plan.ts'
import type { NativeImage } from './sources/native-image.ts'
import { readNativeImage } from './sources/read-native-image.ts'
import { readSnapshotterImage } from './sources/snapshotter-image.ts'

export interface MakeImageStages {
  readonly archives: ArchiveStage
  readonly native: NativeStage
  readonly queryStore: (query: StoreQuery) => Promise<readonly StorePathInfo[]>
}

/** Brings all of an image into containerd but its records. `check` throws when it is none that is wanted. */
export async function makeImage(
  job: Pick<ImportJob, 'storePath' | 'plainPackage' | 'runsPrograms'>,
  stages: MakeImageStages,
  check: (plan: ImagePlan) => void,
): Promise<FilledImage> {
  const output = await recogniseOutput(job.storePath)
  const { runsPrograms } = job
  const native = await readNativeImage(output, { ...job, queryStore: stages.queryStore })
  if (native)
    return importNative(native, { base: await importBase(native, runsPrograms, stages), check }, stages.native)
  const archive = await importWhole(output, stages.archives, {
    storePath: job.storePath,
    runsPrograms,
    withoutBlobs: false,
    check: plan => void (readSnapshotterImage(plan) ?? check(plan)),
  })
  const completed = readSnapshotterImage(archive)
  if (completed) return importNative(completed, { base: archive, check }, stages.native)
  await stages.archives.writer.writeDocuments(archive)
  return archive
}

async function importBase({ base }: NativeImage, runsPrograms: boolean, { archives, native }: MakeImageStages) {
  if (base === undefined) return undefined
  const output = await recogniseOutput(base)
  return importWhole(output, archives, {
    storePath: base,
    runsPrograms,
    withoutBlobs: !native.wantsTars,
    check: () => {},
  })
}

function importWhole(
  output: Output,
  archives: ArchiveStage,
  { runsPrograms, ...archive }: Omit<ArchiveImport, 'output'> & { readonly runsPrograms: boolean },
): Promise<FilledImage> {
  return importArchive({ ...archive, output: imageIn(output, runsPrograms) }, archives)
}

function imageIn(output: Output, runsPrograms: boolean): ImageOutput {
  if (output.kind === 'script' && !runsPrograms)
    throw notAnImage('it is a program, and none is run for an image that is named after its store path')
  if (output.kind === 'json') throw notAnImage('it is a file, but no archive')
  if (output.kind === 'package') throw notAnImage('it is a folder without an OCI layout')
  return output
}
