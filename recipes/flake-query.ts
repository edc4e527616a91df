import { quote } from '../lib/text/quote.ts'
import { GrammarError } from './grammar.ts'

const REV = /^[0-9a-f]{40}$/
/** git's rules for ref names (git-check-ref-format), limited to the characters that nix accepts. */
const REF = /^(?!.*(?:\/\/|\.\.|\/\.|@\{|\.lock(?:\/|$)))[A-Za-z0-9@][A-Za-z0-9_./@+-]*(?<![./])$/
/**
 * Refs that outsiders can make a server write, by a proposal or a pipeline: refs/pull/1/head. Forges resolve a name
 * below refs/ before branches, so pull/1/head means the same.
 */
const UNTRUSTED_REFS = [
  /^refs\/(?!(?:heads|tags)\/)/,
  // GitHub, Gitea, Forgejo and Azure; Bitbucket; GitLab; Gerrit.
  /^(?:pull|pull-requests|merge-requests|changes|pipelines)\/\d+(?:\/|$)/,
  /^(?:environments|workloads|remotes)\//,
  /^(?:keep-around|tmp)\/[0-9a-f]{32}/,
]
const DIR = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.~@+][A-Za-z0-9_.~@+-]*(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.~@+-]+)*$/
const NAR_HASH = /^sha256-[A-Za-z0-9+/]{43}=$/
const FLAG = /^[01]$/
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/
const SSH_KEY_TYPE = /^ssh-(?:dsa|ecdsa|ecdsa-sk|ed25519|ed25519-sk|rsa)$/
const BASE64 = /^[A-Za-z0-9+/]{16,900}={0,2}$/

/** Of each key: the pattern of its value, and a description for messages. */
const VALUES: ReadonlyMap<string, readonly [RegExp, string]> = new Map([
  ['rev', [REV, 'a commit of 40 hex digits']],
  ['ref', [REF, 'the name of a branch or tag']],
  ['dir', [DIR, 'a folder inside the flake, like sub/dir']],
  ['narHash', [NAR_HASH, 'an SRI hash, sha256-…=']],
  ['submodules', [FLAG, '0 or 1']],
  ['shallow', [FLAG, '0 or 1']],
  ['allRefs', [FLAG, '0 or 1']],
  ['lfs', [FLAG, '0 or 1']],
  ['exportIgnore', [FLAG, '0 or 1']],
  ['verifyCommit', [FLAG, '0 or 1']],
  ['publicKey', [BASE64, 'an ssh key in base64']],
  ['keytype', [SSH_KEY_TYPE, 'a type of ssh key, like ssh-ed25519']],
  ['host', [HOST_NAME, 'the name of a host, without a port']],
])

/** Keys whose values contain characters that have a meaning in a query. */
const ENCODED: readonly string[] = ['narHash', 'publicKey']

/**
 * Keys that are rejected where they do not lock the flake. With a narHash, nix uses what its store has under this hash
 * and does not fetch the URL. The others would pass unverified values to the flake.
 */
const RESTRICTED_KEYS: readonly string[] = ['narHash', 'lastModified', 'revCount', 'rev']

export interface KnownKeys {
  readonly keys: readonly string[]
  /** Advice for messages about unknown keys. */
  readonly hint: string
}

/** Parses the query of a flake URL into decoded parameters. `known` is that of its scheme. */
export function parseQuery(text: string | undefined, known: KnownKeys): ReadonlyMap<string, string> {
  const params = new Map<string, string>()
  if (text === undefined) return params
  for (const pair of text.split('&')) {
    const [key, value] = parsePair(pair, known)
    if (params.has(key)) throw new GrammarError(`its query has "${key}" twice`)
    params.set(key, value)
  }
  return params
}

/** The parameters of an accepted URL. */
export function queryOf(url: string): URLSearchParams {
  return new URLSearchParams(url.split('?')[1])
}

/** The canonical query with its `?`; empty if there are no parameters. */
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

/** Throws a GrammarError unless both git and nix accept the text as the name of a branch or tag. */
export function checkRef(text: string): string {
  if (!isRef(text))
    throw new GrammarError('its rev or ref is neither a commit of 40 hex digits nor the name of a branch or tag')
  return rejectUntrustedRef(text)
}

function rejectUntrustedRef(ref: string): string {
  if (UNTRUSTED_REFS.some(pattern => pattern.test(ref)))
    throw new GrammarError(
      'its ref is reserved for proposals or pipelines of forges: if it is a branch, write refs/heads/NAME',
    )
  return ref
}

function parsePair(pair: string, { keys, hint }: KnownKeys): [string, string] {
  const [, key, raw] = /^([A-Za-z]+)=(.*)$/.exec(pair) ?? []
  if (key === undefined || raw === undefined)
    throw new GrammarError(`its query may have ${keys.join(', ')} only, each as key=value`)
  if (RESTRICTED_KEYS.includes(key) && !keys.includes(key))
    throw new GrammarError(`its query has "${key}", which does not lock a flake of this scheme: leave it out`)
  const rule = VALUES.get(key)
  if (rule === undefined || !keys.includes(key)) {
    // A key before an "@" may be part of a password.
    const subject = raw.includes('@') ? 'its query' : `its query has ${quote(key)}, and`
    throw new GrammarError(`${subject} may have ${keys.join(', ')} only${hint}`)
  }
  const [pattern, meaning] = rule
  const value = canonicalValue(key, raw)
  if (!pattern.test(value)) throw new GrammarError(`"${key}" in its query is not ${meaning}`)
  if (key === 'ref') rejectUntrustedRef(value)
  return [key, value]
}

function canonicalValue(key: string, raw: string): string {
  if (key === 'rev' || key === 'host') return raw.toLowerCase()
  return ENCODED.includes(key) ? decode(raw) : raw
}

/** nix itself prints a narHash with `+`, `/` and `=` encoded. Nothing else needs encoding. */
function decode(text: string): string {
  return text.replace(/%(2B|2F|3D)/gi, code => decodeURIComponent(code))
}

function encode(key: string, value: string): string {
  return ENCODED.includes(key) ? encodeURIComponent(value) : value
}
