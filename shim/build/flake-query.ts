import { GrammarError } from './grammar.ts'

const REV = /^[0-9a-f]{40}$/
/** git's own rules for the name of a ref (git-check-ref-format), within nix's narrower set of characters. */
const REF = /^(?!.*(?:\/\/|\.\.|\/\.|@\{|\.lock(?:\/|$)))[A-Za-z0-9@][A-Za-z0-9_./@+-]*(?<![./])$/
/**
 * What strangers can have a server write, by a proposal or a pipeline: refs/pull/1/head. Forges look a name up below refs/ before
 * they look for a branch, so pull/1/head is the same to them.
 */
const PROPOSALS = [
  /^refs\/(?!(?:heads|tags)\/)/,
  // GitHub, Gitea, Forgejo and Azure; Bitbucket; GitLab; Gerrit.
  /^(?:pull|pull-requests|merge-requests|changes|pipelines)\/\d+(?:\/|$)/,
  /^(?:environments|workloads|remotes)\//,
  /^(?:keep-around|tmp)\/[0-9a-f]{32}/,
]
const DIR = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.~@+][A-Za-z0-9_.~@+-]*(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.~@+-]+)*$/
const NAR_HASH = /^sha256-[A-Za-z0-9+/]{43}=$/
const FLAG = /^[01]$/

/** Each key that any scheme has: what its value may be, and how to say that. */
const VALUES: ReadonlyMap<string, readonly [RegExp, string]> = new Map([
  ['rev', [REV, 'a commit of 40 hex digits']],
  ['ref', [REF, 'the name of a branch or tag']],
  ['dir', [DIR, 'a folder inside of the flake, like sub/dir']],
  ['narHash', [NAR_HASH, 'an SRI hash, sha256-…=']],
  ['submodules', [FLAG, '0 or 1']],
  ['shallow', [FLAG, '0 or 1']],
  ['allRefs', [FLAG, '0 or 1']],
])

/**
 * Keys that nix knows and no pod may set where they do not lock the flake. With a narHash, nix takes what its store has
 * under that hash without asking the URL; the others would tell the flake something that nobody has checked.
 */
const CLAIMS: readonly string[] = ['narHash', 'lastModified', 'revCount', 'rev']

/** The decoded parameters of a flake URL. `keys`: those that its scheme knows. */
export function parseQuery(text: string | undefined, keys: readonly string[]): ReadonlyMap<string, string> {
  const params = new Map<string, string>()
  if (text === undefined) return params
  for (const pair of text.split('&')) {
    const [key, value] = parsePair(pair, keys)
    if (params.has(key)) throw new GrammarError(`its query has "${key}" twice`)
    params.set(key, value)
  }
  return params
}

/** The canonical text, with its `?`; empty without parameters. */
export function formatQuery(params: ReadonlyMap<string, string>): string {
  const pairs = [...params].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${encode(key, value)}`)
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** Whether nix reads a path component as a commit rather than as a branch. */
export function isRev(text: string): boolean {
  return REV.test(text.toLowerCase())
}

export function isRef(text: string): boolean {
  return REF.test(text)
}

/** Throws unless git and nix both take it for the name of a branch or tag. */
export function checkRef(text: string): string {
  if (!isRef(text))
    throw new GrammarError('its rev or ref is neither a commit of 40 hex digits nor the name of a branch or tag')
  return checkNoProposal(text)
}

function checkNoProposal(ref: string): string {
  if (PROPOSALS.some(pattern => pattern.test(ref)))
    throw new GrammarError(
      'its ref is neither a branch nor a tag, but one that a forge keeps for proposals or pipelines; if it is a branch of such a name, write refs/heads/NAME',
    )
  return ref
}

function parsePair(pair: string, keys: readonly string[]): [string, string] {
  const [, key, raw] = /^([A-Za-z]+)=(.*)$/.exec(pair) ?? []
  const rule = key === undefined ? undefined : VALUES.get(key)
  if (key !== undefined && CLAIMS.includes(key) && !keys.includes(key)) {
    throw new GrammarError(`its query has "${key}", which does not lock a flake of this scheme: leave it out`)
  }
  if (key === undefined || raw === undefined || rule === undefined || !keys.includes(key)) {
    throw new GrammarError(`its query may have ${keys.join(', ')} only, each as key=value`)
  }
  const [pattern, meaning] = rule
  const value = key === 'rev' ? raw.toLowerCase() : key === 'narHash' ? decode(raw) : raw
  if (!pattern.test(value)) throw new GrammarError(`"${key}" in its query is not ${meaning}`)
  if (key === 'ref') checkNoProposal(value)
  return [key, value]
}

/** nix itself prints a narHash with `+`, `/` and `=` encoded; nothing else has a reason to be. */
function decode(text: string): string {
  return text.replace(/%(2B|2F|3D)/gi, code => decodeURIComponent(code))
}

function encode(key: string, value: string): string {
  return key === 'narHash' ? encodeURIComponent(value) : value
}
