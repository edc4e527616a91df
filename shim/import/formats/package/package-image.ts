import type { PackageHints } from '../../image/contract.ts'
import type { NativeImage } from '../../layers/store-image.ts'
import type { Closure } from '../../store/closure.ts'
import { makeStoreImage } from './closure-image.ts'
import { layOver, readPackageConfig } from './config.ts'
import { findEntrypoint } from './entrypoint.ts'
import { makePackageLinks } from './package-links.ts'

interface Package {
  /** The output without links, which may have led below another store path. */
  readonly folder: string
  /** Where that lies. */
  readonly storePath: string
  /** The package itself, and all that it refers to. */
  readonly closure: Closure
  readonly hints: PackageHints
}

/**
 * The image of a package that is none: its closure, links from the root, and a config that runs its program. Throws
 * NotAnImage when it is not clear what to run, or its imageConfig is none, and ImportInterrupted.
 */
export async function makePackageImage({ folder, storePath, closure, hints }: Package): Promise<NativeImage> {
  const said = readPackageConfig(hints.imageConfig ?? {})
  const entrypoint = await findEntrypoint(folder, {
    closure,
    mainProgram: hints.mainProgram,
    config: said,
  })
  const links = await makePackageLinks(folder)
  return makeStoreImage({ infos: closure.infos.values(), storePath, links, config: layOver(said, entrypoint) })
}
