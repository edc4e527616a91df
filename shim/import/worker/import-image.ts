import { type ArchiveStage, importArchive, type KnownArchive, recallArchive } from '../archive/import-archive.ts'
import {
  type ImageOutput,
  notAnImage,
  type Output,
  recogniseOutput,
  recogniseWritten,
} from '../formats/build-output.ts'
import { findImageProgram } from '../formats/image-program.ts'
import { isSnapshotterImage, readSnapshotterImage } from '../formats/nix-snapshotter/image.ts'
import { makePackageSetImage } from '../formats/package/package-set-image.ts'
import { readNativeImage } from '../formats/read-store-layer-image.ts'
import type { ImageProgram } from '../image/contract.ts'
import type { FilledImage, ImagePlan } from '../image/parsed-image.ts'
import type { NativeImage } from '../layers/store-image.ts'
import type { Closure } from '../store/closure.ts'
import { importNative } from '../store-layers/import-store-layers.ts'
import type { NativeStage } from '../store-layers/stage.ts'
import type { ImportJob } from './messages.ts'

export interface MakeImageStages {
  readonly archives: ArchiveStage
  readonly native: NativeStage
  readonly closure: Closure
}

type ImageJob = Pick<ImportJob, 'storePath' | 'image' | 'archive' | 'plainPackage' | 'packageSet'>

/**
 * Brings all of an image into containerd but its records, or tells which program has to be run to get it. `check` throws when
 * the image is none that is wanted.
 */
export async function makeImage(
  { storePath, image, archive, plainPackage, packageSet }: ImageJob,
  stages: MakeImageStages,
  check: (plan: ImagePlan) => void,
): Promise<FilledImage | { readonly program: ImageProgram }> {
  const { closure } = stages
  // Whatever its packages have at their roots, together they are no other form.
  if (packageSet) {
    const united = await makePackageSetImage({ union: storePath, closure, hints: packageSet })
    return importNative(united, { base: undefined, check }, stages.native)
  }
  const whole = {
    storePath,
    image,
    withoutBlobs: false,
    check: (plan: ImagePlan) => isSnapshotterImage(plan) || check(plan),
  }
  if (archive !== undefined) return finish(await importWhole(await recogniseWritten(archive, closure), whole, stages))
  const output = await recogniseOutput(storePath, closure)
  const native = await readNativeImage(output, { plainPackage, closure })
  if (native) return importNative(native, { base: await importBase(native, stages), check }, stages.native)
  if (output.kind !== 'script') return finish(await importWhole(output, whole, stages))
  const recalled = await recallArchive(whole, stages.archives)
  return recalled ? finish(recalled) : { program: await findImageProgram(output, storePath, closure) }

  async function finish(image: FilledImage): Promise<FilledImage> {
    const completed = await readSnapshotterImage(image, closure)
    if (completed) return importNative(completed, { base: image, check }, stages.native)
    await stages.archives.writer.writeDocuments(image)
    return image
  }
}

async function importBase({ base }: NativeImage, stages: MakeImageStages) {
  if (base === undefined) return undefined
  const output = await recogniseOutput(base, stages.closure)
  return importWhole(
    output,
    { storePath: base, image: undefined, withoutBlobs: !stages.native.wantsTars, check: () => {} },
    stages,
  )
}

function importWhole(output: Output, archive: KnownArchive, { archives }: MakeImageStages): Promise<FilledImage> {
  return importArchive({ ...archive, output: imageIn(output) }, archives)
}

function imageIn(output: Output): ImageOutput {
  if (output.kind === 'script') throw notAnImage('its base image is a program')
  if (output.kind === 'json') throw notAnImage('it is a file, but no archive')
  if (output.kind === 'package') throw notAnImage('it is a folder without an OCI layout')
  return output
}
