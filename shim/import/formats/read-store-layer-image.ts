import { FinalError } from '../../../lib/errors.ts'
import { storePathOf } from '../../../recipes/store-path.ts'
import type { PackageHints } from '../image/contract.ts'
import { MAX_JSON_BYTES } from '../image/json.ts'
import type { NativeImage } from '../layers/store-image.ts'
import type { Closure } from '../store/closure.ts'
import { readStoreFile } from '../store/store-file.ts'
import type { Output } from './build-output.ts'
import { readNix2ContainerImage } from './nix2container/image.ts'
import { readStreamImage } from './nixpkgs-stream/image.ts'
import { makePackageImage } from './package/package-image.ts'

export interface NativeCall {
  /** Of what was built. */
  readonly closure: Closure
  /** Missing: a package that is no image is not made one. */
  readonly plainPackage?: PackageHints | undefined
}

/** The image that an output describes by store paths; undefined for one that holds its layers itself. Throws the import codes. */
export async function readNativeImage(output: Output, call: NativeCall): Promise<NativeImage | undefined> {
  switch (output.kind) {
    case 'script':
      return readStreamImage(output, call)
    case 'json':
      return (await readStreamImage(output, call)) ?? readNix2Container(output.path, call)
    case 'package':
      return readPackage(output.path, call)
    default:
      return undefined
  }
}

async function readNix2Container(path: string, { closure }: NativeCall): Promise<NativeImage | undefined> {
  const json = await readStoreFile(path, MAX_JSON_BYTES, closure)
  return json && readNix2ContainerImage(json, closure)
}

async function readPackage(folder: string, { plainPackage, closure }: NativeCall): Promise<NativeImage> {
  if (!plainPackage)
    throw new FinalError(
      'PolicyRefused',
      'the package is no image: it is a folder without an OCI layout, and the policy rule does not have plainPackages: true',
    )
  return makePackageImage({ folder, storePath: storePathOf(folder), closure, hints: plainPackage })
}
