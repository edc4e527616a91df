import type { Closure } from '../closure.ts'
import { hostPlatform } from '../config.ts'
import type { PackageHints } from '../contract.ts'
import { plainLayer, STORE_MTIME } from '../layers/layer.ts'
import type { NativeImage, NativeLayer } from './native-image.ts'
import { layOver, readPackageConfig } from './package-config.ts'
import { findEntrypoint } from './package-entrypoint.ts'
import { makePackageLinks } from './package-links.ts'
import { splitByPopularity } from './popularity.ts'

interface Package {
  /** The output without links, which may have led below another store path. */
  readonly folder: string
  /** Where that lies. */
  readonly storePath: string
  /** The package itself, and all that it refers to. */
  readonly closure: Closure
  readonly hints: PackageHints
}

/** As many as nixpkgs makes at most; with the links it is one more. */
const MAX_STORE_LAYERS = 100

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
  // The package changes most often: by itself, it changes no layer of what it needs.
  const needed = [...closure.infos.values()].filter(({ path }) => path !== storePath)
  const stores = [...splitByPopularity(needed, MAX_STORE_LAYERS - 1), [storePath]]
  const layers = [...stores.map(toLayer), links]
  const platform = hostPlatform()
  const config = layOver(said, entrypoint)
  return {
    platform,
    layers,
    makeConfig({ diffIds }) {
      const rootfs = { type: 'layers', diff_ids: diffIds }
      return Buffer.from(
        JSON.stringify({ created: CREATED, ...platform, config, rootfs, history: layers.map(toHistory) }),
      )
    },
  }
}

function toLayer(paths: readonly string[]): NativeLayer {
  return { kind: 'store', layer: plainLayer(paths) }
}

/** As old as everything in the store. */
const CREATED = new Date(STORE_MTIME * 1000).toISOString().replace('.000', '')

function toHistory({ kind }: NativeLayer) {
  return { created: CREATED, comment: kind === 'store' ? 'store paths' : 'links to the package' }
}
