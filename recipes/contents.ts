import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import { parseNameInSet } from './package-name.ts'
import type { Contents } from './recipe.ts'

/** Names that stand for several packages. They must come first. Source: Nixery. */
const META_PACKAGES: ReadonlyMap<string, readonly string[]> = new Map([
  ['shell', ['bashInteractive', 'coreutils', 'moreutils', 'nano']],
])
/** Names that choose the system. They must come first, too. */
const SYSTEMS: ReadonlyMap<string, string> = new Map([
  ['amd64', 'x86_64-linux'],
  ['arm64', 'aarch64-linux'],
])

/**
 * Limits of the list and of its characters. A reference has no room for more, and every NixBuild and pull keeps the
 * list.
 */
const MAX_NAMES = 128
const MAX_CHARACTERS = 4096

/**
 * Parses a list of names into packages and a system: the one that a name chooses, or else `system`. Throws
 * RecipeInvalid.
 */
export function parseContents(
  names: readonly string[],
  system: string,
): { readonly contents: Contents; readonly system: string } {
  requireWithinLimits(names)
  const first = names.findIndex(name => !META_PACKAGES.has(name) && !SYSTEMS.has(name))
  const [meta, plain] = first < 0 ? [names, []] : [names.slice(0, first), names.slice(first)]
  const late = plain.find(name => META_PACKAGES.has(name) || SYSTEMS.has(name))
  if (late !== undefined) throw invalid(`in the contents ${quote(late)} stands for no package, so it must come first`)
  const systems = new Set(meta.flatMap(name => SYSTEMS.get(name) ?? []))
  if (systems.size > 1) throw invalid(`the contents name more than one system: ${[...systems].join(', ')}`)
  const packages = [...expandContents(meta), ...plain.map(name => parseNameInSet(name).text)]
  if (packages.length === 0) throw invalid('the contents name no package')
  const contents = [...new Set(packages)].sort()
  requireWithinLimits(contents)
  return { contents, system: [...systems][0] ?? system }
}

/**
 * Like `parseContents`, for a recipe that chooses its system itself. Throws RecipeInvalid if a name chooses another
 * system.
 */
export function parseContentsFor(names: readonly string[], system: string): ReturnType<typeof parseContents> {
  const parsed = parseContents(names, system)
  if (parsed.system !== system)
    throw invalid(`the contents are for ${parsed.system}, and the recipe is for ${system}: leave one of the two out`)
  return parsed
}

function requireWithinLimits(names: readonly string[]): void {
  if (names.length > MAX_NAMES)
    throw invalid(`the contents have ${names.length} names, at most ${MAX_NAMES} are allowed`)
  const characters = names.reduce((sum, name) => sum + name.length, 0)
  if (characters > MAX_CHARACTERS)
    throw invalid(`the contents have ${characters} characters, at most ${MAX_CHARACTERS} are allowed`)
}

/**
 * Like `parseContents`, for a text with names separated by blanks or commas. `system` is that of the recipe, if it has
 * one.
 */
export function readContents(
  text: string,
  system: string | undefined,
  hostSystem: string,
): ReturnType<typeof parseContents> {
  const names = text.split(/[\s,]+/).filter(name => name !== '')
  return system === undefined ? parseContents(names, hostSystem) : parseContentsFor(names, system)
}

/** Replaces meta-packages by their packages, and drops names of systems. */
export function expandContents(names: readonly string[]): string[] {
  return names.flatMap(name => META_PACKAGES.get(name) ?? (SYSTEMS.has(name) ? [] : [name]))
}

function invalid(message: string): FinalError {
  return new FinalError('RecipeInvalid', message)
}
