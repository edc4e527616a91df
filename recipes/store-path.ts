/** Where every store path lies. */
export const STORE_DIR = '/nix/store'

/** Where a registry host would be in a reference to a store path: `nix:0/nix/store/<hash>-<name>`. */
export const STORE_PATH_HOST = 'nix:0'

/** `<hash>-<name>`: Nix's own base 32, and what it takes in a name (Nix, src/libstore/path.cc). */
const NAME = /^[0-9abcdfghijklmnpqrsvwxyz]{32}-[A-Za-z0-9+._?=-]{1,211}$/

/** What Nix knows of a valid store path. */
export interface StorePathInfo {
  readonly path: string
  /** sha256 of its NAR, lower-case hex. */
  readonly narHash: string
  /** In bytes. */
  readonly narSize: number
  /** Store paths that it refers to, itself among them if it does. */
  readonly references: readonly string[]
}

/** The store path that a path below the store lies in, which may be itself. */
export function storePathOf(path: string): string {
  return path.split('/', STORE_DIR.split('/').length + 1).join('/')
}

/** Whether it is `/nix/store/<hash>-<name>`, and nothing below that. */
export function isStorePath(path: string, storeDir = STORE_DIR): boolean {
  return path.startsWith(`${storeDir}/`) && NAME.test(path.slice(storeDir.length + 1))
}
