import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import { parseNameInSet } from './package-name.ts'
import type { Contents } from './recipe.ts'

/** Names that stand for others. They come first. Source: Nixery. */
const META_PACKAGES: ReadonlyMap<string, readonly string[]> = new Map([
  ['shell', ['bashInteractive', 'coreutils', 'moreutils', 'nano']],
])
/** Names of systems. They come first, too. */
const SYSTEMS: ReadonlyMap<string, string> = new Map([
  ['amd64', 'x86_64-linux'],
  ['arm64', 'aarch64-linux'],
])

/** Most names, and characters of all of them; a reference has no room for more. Every NixBuild and each pull keeps them. */
const MAX_NAMES = 128
const MAX_CHARACTERS = 4096

/** What a list of names asks for: packages, and the system that it names, or else `system`. Throws RecipeInvalid. */
export function parseContents(
  names: readonly string[],
  system: string,
): { readonly contents: Contents; readonly system: string } {
  requireFew(names)
  const first = names.findIndex(name => !META_PACKAGES.has(name) && !SYSTEMS.has(name))
  const [meta, plain] = first < 0 ? [names, []] : [names.slice(0, first), names.slice(first)]
  const late = plain.find(name => META_PACKAGES.has(name) || SYSTEMS.has(name))
  if (late !== undefined) throw invalid(`in the contents ${quote(late)} stands for no package, and has to come first`)
  const systems = new Set(meta.flatMap(name => SYSTEMS.get(name) ?? []))
  if (systems.size > 1) throw invalid(`the contents name more than one system: ${[...systems].join(', ')}`)
  const packages = [...expandContents(meta), ...plain.map(name => parseNameInSet(name).text)]
  if (packages.length === 0) throw invalid('the contents name no package')
  const contents = [...new Set(packages)].sort()
  requireFew(contents)
  return { contents, system: [...systems][0] ?? system }
}

/** The same where the recipe says for which system it is. Throws RecipeInvalid if the names say another. */
export function parseContentsFor(names: readonly string[], system: string): ReturnType<typeof parseContents> {
  const parsed = parseContents(names, system)
  if (parsed.system !== system)
    throw invalid(`the contents are for ${parsed.system}, and the recipe is for ${system}: leave one of the two out`)
  return parsed
}

function requireFew(names: readonly string[]): void {
  if (names.length > MAX_NAMES)
    throw invalid(`the contents have ${names.length} names, at most ${MAX_NAMES} are allowed`)
  const characters = names.reduce((sum, name) => sum + name.length, 0)
  if (characters > MAX_CHARACTERS)
    throw invalid(`the contents have ${characters} characters, at most ${MAX_CHARACTERS} are allowed`)
}

/** The same of a text in which blanks or commas separate the names; `system` if the recipe says so, else that of the host. */
export function readContents(
  text: string,
  system: string | undefined,
  hostSystem: string,
): ReturnType<typeof parseContents> {
  const names = text.split(/[\s,]+/).filter(name => name !== '')
  return system === undefined ? parseContents(names, hostSystem) : parseContentsFor(names, system)
}

/** The packages of meta-packages, in the place of these. */
export function expandContents(names: readonly string[]): string[] {
  return names.flatMap(name => META_PACKAGES.get(name) ?? (SYSTEMS.has(name) ? [] : [name]))
}

function invalid(message: string): FinalError {
  return new FinalError('RecipeInvalid', message)
}
