import { FinalError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import { parseFlakeUrl } from '../flake-url.ts'
import { parsePackageName } from '../package-name.ts'
import type { PackageRecipe } from '../recipe.ts'
import { type SplitReference, splitReference } from '../reference.ts'
import { DEFAULT_PACKAGE, DEFAULT_TAG, flakeAtTag } from './name-template.ts'

/** Prefixes of flake URLs by the host that stands for them in image names. Source: nix-snapshotter's forks. */
const HOSTS: ReadonlyMap<string, string> = new Map([
  ['flake-github:0', 'github:'],
  ['flake-git-https:0', 'git+https://'],
  ['flake-git-http:0', 'git+http://'],
  ['flake-git-ssh:0', 'git+ssh://'],
  ['flake-tarball-https:0', 'tarball+https://'],
  ['flake-tarball-http:0', 'tarball+http://'],
])

export const FLAKE_NAME_HOSTS: readonly string[] = [...HOSTS.keys()]

export type NamedFlake = Pick<PackageRecipe, 'flake' | 'packageName'>

/**
 * Parses `flake-github:0/owner/repo--x23--package:REVISION`. Undefined if the name is not of this kind. Throws
 * RecipeInvalid.
 */
export function parseFlakeName({ domain, path, tag = DEFAULT_TAG }: SplitReference): NamedFlake | undefined {
  const scheme = HOSTS.get(domain)
  if (scheme === undefined) return undefined
  const [place = '', attribute = DEFAULT_PACKAGE, ...more] = decode(path).split('#')
  if (more.length > 0) throw new FinalError('RecipeInvalid', 'it has more than one "#" (--x23--)')
  const { text: packageName } = parsePackageName(attribute)
  const url = `${scheme}${place}`
  const flake = tag === DEFAULT_TAG ? parseFlakeUrl(url) : flakeAtTag(url, tag)
  if (flake === undefined)
    throw new FinalError(
      'RecipeInvalid',
      `its tag ${quote(tag)} cannot be used: the flake already has a revision, or its scheme cannot have one`,
    )
  return { flake, packageName }
}

/** Formats `FLAKE#PACKAGE` as the shortest image name. Throws RecipeInvalid. */
export function formatFlakeName(text: string): string {
  const [url = '', attribute = DEFAULT_PACKAGE] = text.split(/#(.*)/s)
  const flake = parseFlakeUrl(url)
  const { text: packageName } = parsePackageName(attribute)
  const [host, scheme] = [...HOSTS].find(([, prefix]) => prefix.startsWith(`${flake.scheme}:`)) ?? []
  if (host === undefined || scheme === undefined)
    throw new FinalError(
      'RecipeInvalid',
      `flakes of the scheme ${flake.scheme} cannot be written as image names: write a name rule (names: in the config)`,
    )
  const rest = flake.url.slice(flake.url.startsWith(scheme) ? scheme.length : scheme.replace('tarball+', '').length)
  const names = [splitVersion(rest), { place: rest }].map(({ place, tag }) => {
    const fragment = packageName === DEFAULT_PACKAGE ? '' : `#${packageName}`
    return `${host}/${encode(`${place}${fragment}`)}${tag === undefined ? '' : `:${tag}`}`
  })
  const good = names.find(name => isNameOf(name, { flake, packageName }))
  if (good === undefined) throw noNameError(text, flake.scheme)
  return good
}

/** Escapes of both forks: any byte in hex, and words for four characters. */
const ESCAPE = /--(?:x([0-9a-f]{2})|(at|q|eq|amp))--/g
const WORDS: Readonly<Record<string, string>> = { at: '@', q: '?', eq: '=', amp: '&' }

function decode(path: string): string {
  return path.replace(ESCAPE, (_escape, hex?: string, word = '') =>
    hex === undefined ? (WORDS[word] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** Characters to escape: those that references do not allow, and separators that are not between letters or digits. */
const NEEDS_ESCAPE = /(?<![a-z0-9])[._-]|[._-](?![a-z0-9])|[^a-z0-9/._-]/g

function encode(text: string): string {
  return text.replace(NEEDS_ESCAPE, character => `--x${character.charCodeAt(0).toString(16).padStart(2, '0')}--`)
}

/** Splits off the version, if there is exactly one. */
function splitVersion(rest: string): { readonly place: string; readonly tag?: string | undefined } {
  const [place = '', query] = rest.split('?')
  const pairs = query?.split('&') ?? []
  const versions = pairs.filter(pair => /^(?:ref|rev)=/.test(pair))
  const [owner, repo, ...version] = place.split('/')
  const tag = versions.length > 0 ? versions[0]?.slice('ref='.length) : version[0]
  const kept = pairs.filter(pair => !versions.includes(pair))
  const bare = versions.length > 0 ? place : `${owner}/${repo}`
  return { place: `${bare}${kept.length === 0 ? '' : `?${kept.join('&')}`}`, tag }
}

function isNameOf(name: string, { flake, packageName }: NamedFlake): boolean {
  const split = splitReference(name)
  if (split === undefined) return false
  try {
    const named = parseFlakeName(split)
    return named?.flake.url === flake.url && named.packageName === packageName
  } catch {
    return false
  }
}

function noNameError(text: string, scheme: string): FinalError {
  const hint = scheme === 'github' && /[A-Z]/.test(text) ? '; GitHub also accepts owner and repo in lower case' : ''
  return new FinalError(
    'RecipeInvalid',
    `${quote(text)} cannot be written as an image name: each segment between slashes must begin and end with a lower-case letter or a digit, and the name may have at most 255 characters${hint}. A name rule (names: in the config) can stand for any flake`,
  )
}
