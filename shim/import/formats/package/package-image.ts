import { join } from 'node:path'
import { quote } from '../../../../lib/text/quote.ts'
import type { PackageHints } from '../../../../recipes/built-package.ts'
import type { StoreImage, TarBytesLayer } from '../../image/store-image.ts'
import { bytesOf } from '../../store/byte-string.ts'
import type { Closure } from '../../store/closure.ts'
import { isProgram, isThere, listPrograms } from '../../store/store-file.ts'
import { type LinkEntry, makeClosureImage, makeLinksLayer, TMP } from './closure-image.ts'
import { layOver, type PackageConfig, packageRefusal, readPackageConfig } from './config.ts'

interface Package {
  /** The build result after following links, which may lead below another store path. */
  readonly folder: string
  /** The store path of the folder. */
  readonly storePath: string
  /** Of the package. */
  readonly closure: Closure
  readonly hints: PackageHints
}

/**
 * Makes an image of a package that is not an image: its closure, links from the root, and a config that runs its program. Throws
 * NotAnImage if it is not clear what to run, or if its imageConfig is invalid, and ImportInterrupted.
 */
export async function makePackageImage({ folder, storePath, closure, hints }: Package): Promise<StoreImage> {
  const said = readPackageConfig(hints.imageConfig ?? {})
  const entrypoint = await findEntrypoint(folder, {
    closure,
    mainProgram: hints.mainProgram,
    config: said,
  })
  const links = await makePackageLinks(folder)
  return makeClosureImage({ infos: closure.infos.values(), storePath, links, config: layOver(said, entrypoint) })
}

/** Folders of a package that programs expect at the root. */
const LINKED = ['bin', 'etc', 'share']

/** Makes the layer with links from the root to a package's folders, and a /tmp. */
async function makePackageLinks(folder: string): Promise<TarBytesLayer> {
  const entries: LinkEntry[] = []
  for (const name of LINKED) {
    const target = join(folder, name)
    if (await isThere(target)) entries.push({ name, linkName: bytesOf(target) })
  }
  return makeLinksLayer([...entries, TMP])
}

interface Wanted {
  /** Its programs are in the image. */
  readonly closure: Closure
  readonly mainProgram: string | undefined
  readonly config: PackageConfig
}

/**
 * Finds the program that the image runs; undefined if the package's own config decides. Throws NotAnImage if there is no program,
 * or more than one.
 */
async function findEntrypoint(folder: string, wanted: Wanted): Promise<string | undefined> {
  const { closure, mainProgram, config } = wanted
  if (config.Entrypoint !== undefined) return undefined
  if (await isProgram(folder, closure)) return folder
  const programs = await listPrograms(folder, closure)
  const chosen = choosePrograms(programs, mainProgram)
  const [only, ...others] = chosen
  if (only !== undefined && others.length === 0) return join(folder, 'bin', only)
  if (config.Cmd) return undefined
  throw packageRefusal(explain(programs, mainProgram))
}

/** The name cannot lead elsewhere, since only programs in `bin` are listed. */
function choosePrograms(programs: readonly string[], mainProgram: string | undefined): readonly string[] {
  return mainProgram === undefined ? programs : programs.filter(name => name === mainProgram)
}

const ADVICE = 'set meta.mainProgram or passthru.imageConfig.Entrypoint'

function explain(programs: readonly string[], mainProgram: string | undefined): string {
  if (programs.length === 0) return `it has no program in bin: ${ADVICE}`
  if (mainProgram === undefined) return `it has several programs in bin (${listed(programs)}): ${ADVICE}`
  return `its meta.mainProgram is ${quote(mainProgram)}, and in bin there is ${listed(programs)}`
}

const MAX_LISTED = 20

function listed(programs: readonly string[]): string {
  const shown = programs.slice(0, MAX_LISTED).map(quote).join(', ')
  return programs.length > MAX_LISTED ? `${shown} and ${programs.length - MAX_LISTED} more` : shown
}
