import { checkRef, isRev, type KnownKeys } from './flake-query.ts'
import { GrammarError } from './grammar.ts'

/** Result of parsing the part between the scheme's colon and the query. */
export interface Located {
  readonly source: string
  readonly ref?: string | undefined
  readonly rev?: string | undefined
}

/** Unknown keys of a query are rejected: they could change the content unchecked, or be meant for the server. */
export interface Scheme extends KnownKeys {
  readonly local: boolean
  /** The parameter that fixes the content forever. */
  readonly lockedBy: 'rev' | 'narHash'
  /** Default host. */
  readonly host?: string
  /** Throws a GrammarError. */
  readonly locate: (scheme: string, rest: string) => Located
}

const VERSION_KEYS = ['rev', 'ref', 'dir']
const SIGNATURE_KEYS = ['verifyCommit', 'publicKey', 'keytype']
const GIT_KEYS = [...VERSION_KEYS, 'submodules', 'shallow', 'allRefs', 'lfs', 'exportIgnore', ...SIGNATURE_KEYS]
const GIT: Scheme = { local: false, lockedBy: 'rev', keys: GIT_KEYS, hint: '', locate: locateRemote }
const TARBALL: Scheme = {
  local: false,
  lockedBy: 'narHash',
  keys: ['narHash', 'dir'],
  hint: ', as the content must not depend on it: for a revision write git+https://HOST/OWNER/REPO?rev=REV',
  locate: locateRemote,
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['github', forge('github.com')],
  ['gitlab', forge('gitlab.com')],
  ['sourcehut', forge('git.sr.ht')],
  ['git+https', GIT],
  ['git+http', GIT],
  ['git+ssh', GIT],
  ['git+file', { ...GIT, local: true, locate: locateFile }],
  ['tarball+https', TARBALL],
  ['tarball+http', TARBALL],
  ['tarball+file', { ...TARBALL, local: true, hint: '', locate: locateFile }],
  ['path', { ...TARBALL, local: true, hint: '', locate: locatePath }],
  // nix ignores a rev or ref in the query of this scheme.
  ['flake', { local: false, lockedBy: 'rev', keys: ['dir'], hint: '', locate: locateRegistry }],
])

function forge(host: string): Scheme {
  const hint = `: for other keys write git+https://${host}/OWNER/REPO`
  return { local: false, lockedBy: 'rev', keys: [...VERSION_KEYS, 'host'], host, hint, locate: locateForge }
}

/**
 * Characters that a path segment must not have. Tarballs may have a star, as some servers resolve it:
 * https://…/app/0.1.*.tar.gz.
 */
const INVALID_IN_PATH = /[^A-Za-z0-9_.~@+=:,-]/
const INVALID_IN_TARBALL_PATH = /[^A-Za-z0-9_.~@+=:,*-]/
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?$/
const SSH_USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const FORGE_NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.~][A-Za-z0-9_.~-]*$/
const REGISTRY_ID = /^[A-Za-z][A-Za-z0-9_-]*$/

export function findScheme(name: string): Scheme {
  const scheme = SCHEMES.get(name)
  if (scheme === undefined) throw new GrammarError(`its scheme is not one of ${[...SCHEMES.keys()].join(', ')}`)
  return scheme
}

function locateForge(scheme: string, rest: string): Located {
  const [owner = '', repo = '', ...version] = withoutSlash(rest).split('/')
  if (/%2f/i.test(owner)) {
    // Nix 2.26 reads owner/group%2Frepo as the branch "repo" of owner/group.
    const { host } = findScheme(scheme)
    throw new GrammarError(`some versions of Nix misread its "%2F": write git+https://${host}/GROUP/SUBGROUP/REPO`)
  }
  if (!FORGE_NAME.test(owner) || !FORGE_NAME.test(repo)) {
    throw new GrammarError(`"${scheme}:" is not followed by owner/repo`)
  }
  return { source: `${scheme}:${owner}/${repo}`, ...parseVersion(version) }
}

function locateRegistry(scheme: string, rest: string): Located {
  const [id = '', ...version] = withoutSlash(rest).split('/')
  if (!REGISTRY_ID.test(id)) throw new GrammarError('"flake:" is not followed by the id of a registry entry')
  const last = version.at(-1)
  if (version.length > 1 && last !== undefined && isRev(last)) {
    return { source: `${scheme}:${id}`, ref: checkRef(version.slice(0, -1).join('/')), rev: last.toLowerCase() }
  }
  return { source: `${scheme}:${id}`, ...parseVersion(version) }
}

function parseVersion(segments: readonly string[]): { rev?: string; ref?: string } {
  if (segments.length === 0) return {}
  const text = segments.join('/')
  return isRev(text) ? { rev: text.toLowerCase() } : { ref: checkRef(text) }
}

function locateRemote(scheme: string, rest: string): Located {
  const isTarball = scheme.startsWith('tarball+')
  const [, authority, path] = /^\/\/([^/]*)(\/.*)$/.exec(isTarball ? rest : withoutSlash(rest)) ?? []
  if (authority === undefined || path === undefined)
    throw new GrammarError(`"${scheme}:" is not followed by //host/path`)
  return {
    source: `${scheme}://${parseAuthority(scheme, authority)}${parsePath(path, isTarball ? INVALID_IN_TARBALL_PATH : INVALID_IN_PATH)}`,
  }
}

function parseAuthority(scheme: string, authority: string): string {
  const at = authority.lastIndexOf('@')
  const user = at < 0 ? undefined : authority.slice(0, at)
  const host = authority.slice(at + 1).toLowerCase()
  if (!HOST.test(host)) throw new GrammarError('its host is not the name or address of a host')
  if (user === undefined) return host
  if (scheme !== 'git+ssh') {
    throw new GrammarError('it has a user name or password: do not put secrets into annotations, use a netrc file')
  }
  if (user.includes(':')) throw new GrammarError('it has a password: do not put secrets into annotations, use a key')
  if (!SSH_USER.test(user)) throw new GrammarError('its user name is malformed')
  return `${user}@${host}`
}

function locateFile(scheme: string, rest: string): Located {
  const path = scheme.startsWith('tarball+') ? rest : withoutSlash(rest)
  if (!path.startsWith('///')) throw new GrammarError(`"${scheme}:" is not followed by ///absolute/path`)
  return { source: `${scheme}://${parsePath(path.slice(2), INVALID_IN_PATH)}` }
}

function locatePath(scheme: string, rest: string): Located {
  const path = withoutSlash(rest)
  if (!path.startsWith('/')) throw new GrammarError('"path:" is not followed by an absolute path')
  return { source: `${scheme}:${parsePath(path, INVALID_IN_PATH)}` }
}

/** A slash at the end of a repository or folder does not change its meaning. */
function withoutSlash(rest: string): string {
  return rest.endsWith('/') && !rest.endsWith('//') ? rest.slice(0, -1) : rest
}

function parsePath(path: string, invalid: RegExp): string {
  return path
    .split('/')
    .map((segment, index) => (index === 0 ? segment : parseSegment(segment, invalid)))
    .join('/')
}

function parseSegment(segment: string, invalid: RegExp): string {
  if (segment === '') throw new GrammarError('its path has an empty segment ("//", or "/" at the end)')
  if (segment === '.' || segment === '..') throw new GrammarError('its path has a "." or ".." segment')
  if (segment.startsWith('-')) throw new GrammarError('a segment of its path starts with "-"')
  const upper = segment.replace(/%[0-9a-f]{2}/gi, code => code.toUpperCase())
  const [found] = invalid.exec(upper.replace(/%[0-9A-F]{2}/g, '')) ?? []
  if (found !== undefined) throw new GrammarError(`its path has a "${found}", which is not allowed there`)
  if (!isUtf8(upper)) throw new GrammarError('its path has encoded bytes that are not UTF-8')
  return upper.replace(/%(..)/g, (code, hex: string) => parseEncoded(code, hex, invalid))
}

function isUtf8(encoded: string): boolean {
  try {
    return decodeURIComponent(encoded) !== ''
  } catch {
    return false
  }
}

/** Only spaces and non-ASCII characters need encoding. Anything else could hide something. */
function parseEncoded(code: string, hex: string, invalid: RegExp): string {
  const byte = Number.parseInt(hex, 16)
  if (byte === 0x20 || byte >= 0x80) return code
  const isInvalid = invalid.test(String.fromCharCode(byte))
  throw new GrammarError(
    `its path has ${code}${isInvalid ? ', which is not allowed there' : ': write that character as it is'}`,
  )
}
