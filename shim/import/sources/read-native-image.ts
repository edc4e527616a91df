import type { PackageHints, StorePathInfo, StoreQuery } from '../contract.ts'
import type { Output } from '../output.ts'
import type { NativeImage } from './native-image.ts'
import { readStreamImage } from './stream-image.ts'

export interface NativeCall {
  /** Path of the output below the Nix store. */
  readonly storePath: string
  /** Missing: a package that is no image is not made one. */
  readonly plainPackage?: PackageHints | undefined
  readonly queryStore: (query: StoreQuery) => Promise<readonly StorePathInfo[]>
}

/** The image that an output describes by store paths; undefined for one that holds its layers itself. Throws the import codes. */
export async function readNativeImage(output: Output, _call: NativeCall): Promise<NativeImage | undefined> {
  switch (output.kind) {
    case 'script':
    case 'json':
      return readStreamImage(output)
    default:
      return undefined
  }
}
