import type { Owner } from './layer.ts'

/** A layer as nix2container makes them: store paths, some of them moved or with other permissions. */
export interface MergedLayer {
  readonly paths: readonly MergedPath[]
}

export interface MergedPath {
  /** `/nix/store/<hash>-<name>` */
  readonly path: string
  /** Where its files go: matches of the regular expression (Go's) in a file's path are replaced. */
  readonly rewrite?: { readonly regex: string; readonly repl: string } | undefined
  /** For the files whose path matches the regular expression (Go's); later ones win. */
  readonly perms: readonly Permission[]
}

/** Names that are empty leave those of root. */
export interface Permission extends Owner {
  readonly regex: string
  /** Octal; empty leaves the mode as it is in the store. */
  readonly mode: string
}
