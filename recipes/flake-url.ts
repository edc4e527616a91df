import { FinalError } from '../lib/errors.ts'
import { quote } from '../lib/text/quote.ts'
import { formatQuery, parseQuery, queryOf } from './flake-query.ts'
import { findScheme } from './flake-schemes.ts'
import { GrammarError, quoteForError } from './grammar.ts'

/** A flake URL that matches the grammar: it cannot become an option, a relative path or a shell word. */
export interface FlakeUrl {
  /** Canonical text for nix: host and rev in lower case, query keys sorted, `tarball+` omitted where possible. */
  readonly url: string
  /**
   * Such as `github`, `git+https`, `path`, `tarball+https` or `flake`. A bare `https://….tar.gz` is `tarball+https`.
   */
  readonly scheme: string
  /**
   * The text that policy patterns match: the URL without query and, for forges, without rev or ref. If the query names
   * another host than the forge's own, it is `github+https://HOST/OWNER/REPO`, so that no pattern for `github:`
   * matches.
   */
  readonly source: string
  /** Read from this machine instead of the network. */
  readonly local: boolean
  /** Fixes its content forever, by a commit (git and forges) or a narHash (tarballs and paths). */
  readonly locked: boolean
  /** Present if a narHash locks the flake. */
  readonly content?: FlakeContent
}

/**
 * The content that a URL must have. It is verified separately, as nix does not fetch a URL whose narHash its store has.
 */
export interface FlakeContent {
  readonly narHash: string
  /** The URL without the hash. */
  readonly url: string
}

/** In characters, of the text and of its canonical form, which is longer if the query has characters to encode. */
const MAX_LENGTH = 1024

const EXAMPLES = 'github:owner/repo/REV, git+https://host/path?ref=main&dir=sub or path:/absolute/folder'

/** Patterns that are rejected anywhere in the text. */
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [/^-/, 'it starts with "-"'],
  [/\s/, 'it has white space or a line break'],
  [/#/, 'it has a "#": the package is named by its own key'],
  [/[^\x21-\x7e]/, 'it has a character that is not printable ASCII'],
]

/** Characters with a meaning for shells, but not for flake URLs. */
const SHELL_CHARACTER = /["'`$\\;|<>(){}^!]/

/** URLs that nix reads as tarballs although their scheme does not say so. */
const BARE_TARBALL = /^(?:https?|file):\/\/[^?]+\.(?:zip|tar|tgz|tar\.(?:gz|xz|bz2|zst))(?:\?|$)/

/**
 * Accepts the flake references of Nix 2.8 to 2.34, except those that could lead elsewhere: no relative path, no
 * fragment, no password, and nothing that Nix versions read differently. Throws `RecipeInvalid`, whose message never
 * contains user info or a query.
 */
export function parseFlakeUrl(text: string): FlakeUrl {
  try {
    checkText(text)
    return parse(BARE_TARBALL.test(text) ? `tarball+${text}` : text)
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error
    const subject = text === '' || text.length > MAX_LENGTH ? 'the flake URL' : `the flake URL ${quoteForError(text)}`
    throw new FinalError('RecipeInvalid', `${subject} is not valid: ${error.message}. Examples: ${EXAMPLES}`)
  }
}

/** What nix says of the content that a flake URL has now. */
export interface CurrentContent {
  /** The commit, if the content has one. */
  readonly rev?: string | undefined
  readonly narHash?: string | undefined
}

/** The URL locked to that content, in the form that annotations may have. Undefined if its scheme cannot be locked to it. */
export function lockFlake({ url, scheme }: FlakeUrl, { rev, narHash }: CurrentContent): FlakeUrl | undefined {
  const { lockedBy, host } = findScheme(scheme)
  const [place = '', query] = url.split('?')
  const pairs = query?.split('&') ?? []
  const withPair = (pair: string) => `${place}?${[...pairs, pair].join('&')}`
  if (lockedBy === 'narHash')
    return narHash === undefined ? undefined : parseOrUndefined(withPair(`narHash=${encodeURIComponent(narHash)}`))
  if (rev === undefined) return undefined
  if (scheme === 'flake') return parseOrUndefined([`${place}/${rev}`, ...pairs].join('?'))
  if (host === undefined) return parseOrUndefined(withPair(`rev=${rev}`))
  const repository = place.split('/').slice(0, 2).join('/')
  const others = pairs.filter(pair => !pair.startsWith('ref='))
  return parseOrUndefined(`${repository}/${rev}${others.length === 0 ? '' : `?${others.join('&')}`}`)
}

/** The locked URL that the text is, if it locks this flake. */
export function parseLockOf(flake: FlakeUrl, text: string): FlakeUrl | undefined {
  const narHash = queryOf(text).get('narHash') ?? undefined
  const rev = queryOf(text).get('rev') ?? /\/([0-9a-f]{40})(?:\?|$)/.exec(text)?.[1]
  const lock = flake.locked ? undefined : lockFlake(flake, { rev, narHash })
  return lock?.url === text ? lock : undefined
}

function parseOrUndefined(text: string): FlakeUrl | undefined {
  try {
    return parseFlakeUrl(text)
  } catch {
    return undefined
  }
}

function checkText(text: string): void {
  if (text === '') throw new GrammarError('it is empty')
  if (text.length > MAX_LENGTH)
    throw new GrammarError(`it has ${text.length} characters, at most ${MAX_LENGTH} are allowed`)
  for (const [pattern, problem] of FORBIDDEN) if (pattern.test(text)) throw new GrammarError(problem)
  const [found] = SHELL_CHARACTER.exec(text) ?? []
  if (found !== undefined) throw new GrammarError(`it has a ${quote(found)}, which is not allowed in flake URLs`)
}

function parse(text: string): FlakeUrl {
  const [, name, rest, query] = /^([a-z0-9+]+):([^?]*)(?:\?(.*))?$/.exec(text) ?? []
  if (name === undefined || rest === undefined) throw new GrammarError('it has no scheme')
  const scheme = findScheme(name)
  // Before the query: this detects what could be a password.
  const { source, ref, rev } = scheme.locate(name, rest)
  const params = parseQuery(query, scheme)
  if ((rev ?? ref) !== undefined && (params.has('ref') || params.has('rev'))) {
    throw new GrammarError('both its path and its query have a rev or ref')
  }
  const suffix = [ref, rev].map(part => (part === undefined ? '' : `/${part}`)).join('')
  const place = `${nixForm(source)}${suffix}`
  const narHash = params.get('narHash')
  const withHash = without(params, params.get('host') === scheme.host ? ['host'] : [])
  const url = `${place}${formatQuery(withHash)}`
  if (url.length > MAX_LENGTH)
    throw new GrammarError(`with its query encoded it has ${url.length} characters, at most ${MAX_LENGTH} are allowed`)
  return {
    url,
    scheme: name,
    source: withHost(source, withHash.get('host')),
    local: scheme.local,
    locked: scheme.lockedBy === 'rev' ? rev !== undefined || params.has('rev') : narHash !== undefined,
    ...(narHash !== undefined && {
      content: { narHash, url: `${place}${formatQuery(without(withHash, ['narHash']))}` },
    }),
  }
}

function without(params: ReadonlyMap<string, string>, keys: readonly string[]): ReadonlyMap<string, string> {
  return new Map([...params].filter(([key]) => !keys.includes(key)))
}

/** Permission for a forge's own host must not extend to other hosts. */
function withHost(source: string, host: string | undefined): string {
  return host === undefined ? source : source.replace(':', `+https://${host}/`)
}

/** Nix 2.8 knows `https://….tar.gz` but not `tarball+https://`. Later versions know both. */
function nixForm(source: string): string {
  const bare = source.replace(/^tarball\+/, '')
  return BARE_TARBALL.test(bare) ? bare : source
}
