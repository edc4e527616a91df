import { checkRef, isRev } from './flake-query.ts'
import { GrammarError } from './grammar.ts'

/** What one scheme makes of the text between its colon and the query. */
export interface Located {
  readonly source: string
  readonly ref?: string | undefined
  readonly rev?: string | undefined
}

export interface Scheme {
  readonly local: boolean
  /** What names one content for ever. */
  readonly lockedBy: 'rev' | 'narHash'
  /** Query keys that it knows. No other fact of the content can be given: nobody would check it. */
  readonly keys: readonly string[]
  /** Throws a GrammarError. */
  readonly locate: (scheme: string, rest: string) => Located
}

const FORGE_KEYS = ['rev', 'ref', 'dir']
const GIT_KEYS = [...FORGE_KEYS, 'submodules', 'shallow', 'allRefs']
const FORGE: Scheme = { local: false, lockedBy: 'rev', keys: FORGE_KEYS, locate: locateForge }
const GIT: Scheme = { local: false, lockedBy: 'rev', keys: GIT_KEYS, locate: locateRemote }
const TARBALL: Scheme = { local: false, lockedBy: 'narHash', keys: ['narHash', 'dir'], locate: locateRemote }

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['github', FORGE],
  ['gitlab', FORGE],
  ['sourcehut', FORGE],
  ['git+https', GIT],
  ['git+http', GIT],
  ['git+ssh', GIT],
  ['git+file', { ...GIT, local: true, locate: locateFile }],
  ['tarball+https', TARBALL],
  ['tarball+http', TARBALL],
  ['tarball+file', { ...TARBALL, local: true, locate: locateFile }],
  ['path', { ...TARBALL, local: true, locate: locatePath }],
  // Nix does not look at a rev or ref in the query of this one.
  ['flake', { ...FORGE, keys: ['dir'], locate: locateRegistry }],
])

const SEGMENT = /^(?:[A-Za-z0-9_.~@+=:,-]|%[0-9A-F]{2})+$/
const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::\d{1,5})?$/
const SSH_USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const FORGE_NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.~][A-Za-z0-9_.~-]*$/
const REGISTRY_ID = /^[A-Za-z][A-Za-z0-9_-]*$/

export function findScheme(name: string): Scheme {
  const scheme = SCHEMES.get(name)
  if (scheme === undefined) throw new GrammarError(`its scheme is none of ${[...SCHEMES.keys()].join(', ')}`)
  return scheme
}

function locateForge(scheme: string, rest: string): Located {
  const [owner = '', repo = '', ...version] = rest.split('/')
  if (!FORGE_NAME.test(owner) || !FORGE_NAME.test(repo)) {
    throw new GrammarError(`"${scheme}:" is not followed by owner/repo`)
  }
  return { source: `${scheme}:${owner}/${repo}`, ...parseVersion(version) }
}

function locateRegistry(scheme: string, rest: string): Located {
  const [id = '', ...version] = rest.split('/')
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
  const [, authority, path] = /^\/\/([^/]*)(\/.*)$/.exec(rest) ?? []
  if (authority === undefined || path === undefined)
    throw new GrammarError(`"${scheme}:" is not followed by //host/path`)
  return { source: `${scheme}://${parseAuthority(scheme, authority)}${parsePath(path)}` }
}

function parseAuthority(scheme: string, authority: string): string {
  const at = authority.lastIndexOf('@')
  const user = at < 0 ? undefined : authority.slice(0, at)
  const host = authority.slice(at + 1).toLowerCase()
  if (!HOST.test(host)) throw new GrammarError('its host is not the name or address of a host')
  if (user === undefined) return host
  if (scheme !== 'git+ssh') {
    throw new GrammarError('it has a user name or password: annotations are no place for secrets, use a netrc file')
  }
  if (user.includes(':')) throw new GrammarError('it has a password: annotations are no place for secrets, use a key')
  if (!SSH_USER.test(user)) throw new GrammarError('its user name is malformed')
  return `${user}@${host}`
}

function locateFile(scheme: string, rest: string): Located {
  if (!rest.startsWith('///')) throw new GrammarError(`"${scheme}:" is not followed by ///absolute/path`)
  return { source: `${scheme}://${parsePath(rest.slice(2))}` }
}

function locatePath(scheme: string, rest: string): Located {
  if (!rest.startsWith('/')) throw new GrammarError('"path:" is not followed by an absolute path')
  return { source: `${scheme}:${parsePath(rest)}` }
}

function parsePath(path: string): string {
  return path
    .split('/')
    .map((segment, index) => (index === 0 ? segment : parseSegment(segment)))
    .join('/')
}

function parseSegment(segment: string): string {
  if (segment === '') throw new GrammarError('its path has an empty segment ("//", or "/" at the end)')
  if (segment === '.' || segment === '..') throw new GrammarError('its path has a "." or ".." segment')
  if (segment.startsWith('-')) throw new GrammarError('a segment of its path starts with "-"')
  const upper = segment.replace(/%[0-9a-f]{2}/gi, code => code.toUpperCase())
  if (!SEGMENT.test(upper)) throw new GrammarError('its path has a character that does not belong there')
  if (!isUtf8(upper)) throw new GrammarError('its path has encoded bytes that are no UTF-8')
  return upper.replace(/%(..)/g, parseEncoded)
}

function isUtf8(encoded: string): boolean {
  try {
    return decodeURIComponent(encoded) !== ''
  } catch {
    return false
  }
}

/** Only a space and what is not ASCII have a reason to be encoded: everything else could hide something. */
function parseEncoded(code: string, hex: string): string {
  const byte = Number.parseInt(hex, 16)
  if (byte !== 0x20 && byte < 0x80) throw new GrammarError(`its path has ${code}: write that character as it is`)
  return code
}
