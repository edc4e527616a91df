import { FinalError } from '../../errors.ts'
import { storePathOf } from '../../store-path.ts'
import type { PackageHints, StorePathInfo, StoreQuery } from '../contract.ts'
import { MAX_JSON_BYTES } from '../json.ts'
import type { Output } from '../output.ts'
import type { NativeImage } from './native-image.ts'
import { readNix2ContainerImage } from './nix2container-image.ts'
import { makePackageImage } from './package-image.ts'
import { readUpTo } from './store-file.ts'
import { readStreamImage } from './stream-image.ts'

export interface NativeCall {
  /** What was built, which may be a link to the output. */
  readonly storePath: string
  /** Missing: a package that is no image is not made one. */
  readonly plainPackage?: PackageHints | undefined
  readonly queryStore: (query: StoreQuery) => Promise<readonly StorePathInfo[]>
}

/** The image that an output describes by store paths; undefined for one that holds its layers itself. Throws the import codes. */
export async function readNativeImage(output: Output, call: NativeCall): Promise<NativeImage | undefined> {
  switch (output.kind) {
    case 'script':
      return readStreamImage(output)
    case 'json':
      return (await readStreamImage(output)) ?? readNix2Container(output.path)
    case 'package':
      return readPackage(output.path, call)
    default:
      return undefined
  }
}

async function readNix2Container(path: string): Promise<NativeImage | undefined> {
  const json = await readUpTo(path, MAX_JSON_BYTES)
  return json && readNix2ContainerImage(json)
}

async function readPackage(folder: string, { storePath, plainPackage, queryStore }: NativeCall): Promise<NativeImage> {
  if (!plainPackage)
    throw new FinalError(
      'PolicyRefused',
      'the package is no image: it is a folder without an OCI layout, and the policy rule does not have plainPackages: true',
    )
  const closure = await queryStore({ paths: [storePath], recursive: true })
  return makePackageImage({ folder, storePath: storePathOf(folder), closure, hints: plainPackage })
}
