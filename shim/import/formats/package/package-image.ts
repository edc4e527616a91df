import { join } from 'node:path'
import * as v from 'valibot'
import { quote } from '../../../../lib/text/quote.ts'
import type { PackageHints } from '../../../../recipes/built-package.ts'
import type { StoreImage, TarBytesLayer } from '../../image/store-image.ts'
import { bytesOf } from '../../store/byte-string.ts'
import type { Closure } from '../../store/closure.ts'
import { isProgram, isThere, listPrograms } from '../../store/store-file.ts'
import { type LinkEntry, makeClosureImage, makeLinksLayer, packageRefusal, TMP } from './closure-image.ts'

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
  const ownConfig = readPackageConfig(hints.imageConfig ?? {})
  const entrypoint = await findEntrypoint(folder, {
    closure,
    mainProgram: hints.mainProgram,
    config: ownConfig,
  })
  const links = await makePackageLinks(folder)
  return makeClosureImage({
    infos: closure.infos.values(),
    storePath,
    links,
    config: mergeConfig(ownConfig, entrypoint),
  })
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

/** Source: OCI image specification, config.md. */
const text = v.pipe(
  v.string(),
  v.check(value => value.isWellFormed() && !value.includes('\0'), 'expected text without NUL'),
)
const words = v.nullish(v.array(text))
const names = v.nullish(v.record(text, v.strictObject({})))
const variable = v.pipe(text, v.regex(/^[^=]+=/, 'expected NAME=value'))
const entries = {
  Entrypoint: words,
  Cmd: words,
  Env: v.nullish(v.array(variable)),
  ExposedPorts: names,
  Labels: v.nullish(v.record(text, text)),
  StopSignal: v.nullish(text),
  User: v.nullish(text),
  Volumes: names,
  WorkingDir: v.nullish(text),
}
const schema = v.strictObject(entries)

/** A package's `passthru.imageConfig`, with the keys of an OCI image's config. A key that is null counts as set. */
type PackageConfig = v.InferOutput<typeof schema>

/** Checks `passthru.imageConfig`. Throws NotAnImage that names the wrong key. */
function readPackageConfig(imageConfig: Readonly<Record<string, unknown>>): PackageConfig {
  const unknown = Object.keys(imageConfig).find(key => !Object.hasOwn(entries, key))
  if (unknown !== undefined)
    throw packageRefusal(
      `passthru.imageConfig has a key ${quote(unknown)} (expected ${Object.keys(entries).join(', ')})`,
    )
  const result = v.safeParse(schema, imageConfig)
  if (result.success) return result.output
  const [issue] = result.issues
  throw packageRefusal(`passthru.imageConfig is not as expected at ${v.getDotPath(issue)}: ${issue.message}`)
}

/** The config of the image: defaults, overridden by the package; the order of keys is always the same. */
function mergeConfig(config: PackageConfig, entrypoint: string | undefined): Readonly<Record<string, unknown>> {
  const whole: PackageConfig = {
    ...(entrypoint !== undefined && { Entrypoint: [entrypoint] }),
    ...config,
    Env: withPath(config.Env ?? []),
  }
  const given = Object.entries(whole).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(given.sort(([one], [other]) => (one < other ? -1 : 1)))
}

function withPath(env: readonly string[]): string[] {
  return env.some(entry => entry.startsWith('PATH=')) ? [...env] : ['PATH=/bin', ...env]
}
