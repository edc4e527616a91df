import { FinalError } from '../../../lib/errors.ts'
import type { ImageProgram } from '../../../recipes/built-package.ts'
import { storePathOf } from '../../../recipes/store-path.ts'
import { type ArchiveContext, type ArchiveRequest, importArchive, recallArchive } from '../archive/import-archive.ts'
import {
  type BuildResult,
  findImageProgram,
  recognizeResult,
  recognizeWritten,
  requireArchive,
} from '../formats/build-result.ts'
import { isSnapshotterImage, readSnapshotterImage } from '../formats/nix-snapshotter/image.ts'
import { readNix2ContainerImage } from '../formats/nix2container/image.ts'
import { readStreamImage } from '../formats/nixpkgs-stream/image.ts'
import { makePackageImage } from '../formats/package/package-image.ts'
import { makePackageSetImage } from '../formats/package/package-set-image.ts'
import { MAX_JSON_BYTES } from '../image/json.ts'
import type { ParsedImage, UnpackedImage } from '../image/parsed-image.ts'
import type { StoreImage } from '../image/store-image.ts'
import type { Closure } from '../store/closure.ts'
import { readStoreFile } from '../store/store-file.ts'
import type { StoreLayersContext } from '../store-layers/context.ts'
import { importStoreImage } from '../store-layers/import-store-image.ts'
import type { ImportJob } from './messages.ts'

export type ImportContext = ArchiveContext & StoreLayersContext

type ImageJob = Pick<ImportJob, 'storePath' | 'image' | 'archive' | 'plainPackage' | 'packageSet'>
type CheckImage = (image: ParsedImage) => void

/**
 * Brings an image into containerd, except for its records. If only a program can write the image, returns that program. `check`
 * throws if the image is not acceptable.
 */
export async function importImage(
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
  const image = await readStoreImage(result, job, closure)
  if (image) return importStoreImage({ image, base: await importBase(image, context), check }, context)
  if (result.kind !== 'script') return importWhole(result, job, context, check)
  const recalled = await recallArchive(wholeImage(job, check), context)
  if (recalled) return complete(recalled, context, check)
  return { program: await findImageProgram(result, storePath, closure) }
}

/** Reads an image whose layers are described by store paths; undefined for a build result that holds its layers itself. */
async function readStoreImage(
  result: BuildResult,
  { plainPackage }: ImageJob,
  closure: Closure,
): Promise<StoreImage | undefined> {
  switch (result.kind) {
    case 'script':
      return readStreamImage(result, { closure })
    case 'json':
      return (await readStreamImage(result, { closure })) ?? readNix2Container(result.path, closure)
    case 'package':
      return readPackage(result.path, plainPackage, closure)
    default:
      return undefined
  }
}

async function readNix2Container(path: string, closure: Closure): Promise<StoreImage | undefined> {
  const json = await readStoreFile(path, MAX_JSON_BYTES, closure)
  return json && readNix2ContainerImage(json, closure)
}

async function readPackage(folder: string, hints: ImageJob['plainPackage'], closure: Closure): Promise<StoreImage> {
  if (!hints)
    throw new FinalError(
      'PolicyRefused',
      'the package is not an image: it is a folder without an OCI layout, and the policy rule does not have plainPackages: true',
    )
  return makePackageImage({ folder, storePath: storePathOf(folder), closure, hints })
}

async function importBase({ base }: StoreImage, context: ImportContext): Promise<UnpackedImage | undefined> {
  if (base === undefined) return undefined
  const output = requireArchive(await recognizeResult(base, context.closure))
  const request = { storePath: base, image: undefined, withoutBlobs: !context.wantsTars, check: () => {} }
  return importArchive({ ...request, output }, context)
}

async function importWhole(
  result: BuildResult,
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
