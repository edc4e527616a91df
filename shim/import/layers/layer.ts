/** Whose the files of a layer are. */
export interface Owner {
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
}

/** A layer as nixpkgs' streamLayeredImage makes them: store paths under their own names. */
export interface StorePathLayer {
  /** `/nix/store/<hash>-<name>` each, in the order of the tar. */
  readonly paths: readonly string[]
  /** Of everything in the layer. */
  readonly owner: Owner
  /** Of everything in the layer, in seconds since 1970. */
  readonly mtime: number
  /** Permissions of /nix and /nix/store themselves. */
  readonly rootMode: number
}

/** Who owns what is in the store, and in most layers. */
export const ROOT: Owner = { uid: 0, gid: 0, uname: 'root', gname: 'root' }

/** Nix gives every file in the store this time, in seconds since 1970. */
export const STORE_MTIME = 1

/** A layer in which all is as Nix has it. */
export function plainLayer(paths: readonly string[]): StorePathLayer {
  return { paths, owner: ROOT, mtime: STORE_MTIME, rootMode: 0o755 }
}
