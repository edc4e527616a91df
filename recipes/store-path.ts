export const STORE_DIR = '/nix/store'

/** Takes the place of the registry host in references to store paths: `nix:0/nix/store/<hash>-<name>`. */
export const STORE_PATH_HOST = 'nix:0'

/** `<hash>-<name>`: Nix's base 32, and the characters of a name (Nix, src/libstore/path.cc). */
const NAME = /^[0-9abcdfghijklmnpqrsvwxyz]{32}-[A-Za-z0-9+._?=-]{1,211}$/

/** What Nix knows about a valid store path. */
export interface StorePathInfo {
  readonly path: string
  /** sha256 of its NAR, in lower-case hex. */
  readonly narHash: string
  /** In bytes. */
  readonly narSize: number
  /** Store paths that it refers to, including itself if it does. */
  readonly references: readonly string[]
}

/** The store path that contains `path`, or is `path`. */
export function storePathOf(path: string): string {
  return path.split('/', STORE_DIR.split('/').length + 1).join('/')
}

const HASH_LENGTH = 32

/** The hash in the name of a store path. */
export function hashOfStorePath(storePath: string): string {
  const begin = STORE_DIR.length + 1
  return storePath.slice(begin, begin + HASH_LENGTH)
}

/** Whether the path is exactly `/nix/store/<hash>-<name>`. */
export function isStorePath(path: string, storeDir = STORE_DIR): boolean {
  return path.startsWith(`${storeDir}/`) && NAME.test(path.slice(storeDir.length + 1))
}
