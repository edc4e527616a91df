import type { Platform } from './config.ts'

/** An image whose layers are described by paths of the Nix store. None of them has been read yet. */
export interface StoreImage {
  readonly platform: Platform
  /** Path of an image archive below the Nix store, whose layers come first. */
  readonly base?: string | undefined
  /** Bottom first, above those of the base. */
  readonly layers: readonly StoreLayer[]
  /** Makes the bytes of the image's config. Throws ArchiveInvalid if the base does not fit. */
  makeConfig(known: KnownParts): Buffer
}

export interface KnownParts {
  /** Of all layers, those of the base included, bottom first: `sha256:<hex>` each. */
  readonly diffIds: readonly string[]
  readonly base?: BaseParts | undefined
}

export interface BaseParts {
  /** The base image's own config, JSON. */
  readonly config: Buffer
  /** Names of the layers' files in the base archive, bottom first. */
  readonly layerNames: readonly string[]
}

export type StoreLayer = StoreFilesLayer | TarFileLayer | TarBytesLayer

/** Files of the store, of which a tar may be made. */
export interface StoreFilesLayer {
  readonly kind: 'storeFiles'
  readonly files: FilesLayer
  /** Digest of the tar, `sha256:<hex>`, as the image promises it for a merged layer. It has not been verified. */
  readonly promised?: string | undefined
}

/** A tar that is a file of the store, with what the image promises of it. */
export interface TarFileLayer {
  readonly kind: 'tarFile'
  readonly path: string
  /** Digest of the uncompressed tar, `sha256:<hex>`. */
  readonly diffId: string
  /** Digest of the file as it is, `sha256:<hex>`. */
  readonly digest: string
  readonly mediaType: string
}

/** A small, uncompressed tar that was made in memory. */
export interface TarBytesLayer {
  readonly kind: 'tarBytes'
  readonly bytes: Buffer
  /** Number of entries of the tar. */
  readonly entries: number
}

/** The files of a layer, all of which are in the Nix store. */
export type FilesLayer = StorePathLayer | MergedLayer

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

/** Owner of the files of a layer. */
export interface Owner {
  readonly uid: number
  readonly gid: number
  readonly uname: string
  readonly gname: string
}

/** Owner of everything in the store, and of most layers. */
export const ROOT: Owner = { uid: 0, gid: 0, uname: 'root', gname: 'root' }

/** Nix gives every file in the store this time, in seconds since 1970. */
export const STORE_MTIME = 1

/** A layer that keeps owners and times as they are in the store. */
export function plainLayer(paths: readonly string[]): StorePathLayer {
  return { paths, owner: ROOT, mtime: STORE_MTIME, rootMode: 0o755 }
}

/** A layer as nix2container makes them: store paths, some of them moved or with other permissions. */
export interface MergedLayer {
  readonly paths: readonly MergedPath[]
  readonly form: MergedForm
}

export interface MergedPath {
  /** `/nix/store/<hash>-<name>` */
  readonly path: string
  /** Moves files: matches of the regular expression (Go's) in a file's path are replaced. */
  readonly rewrite?: { readonly regex: string; readonly repl: string } | undefined
  /** Apply to files whose path matches the regular expression (Go's); later ones win. */
  readonly perms: readonly Permission[]
}

/** Empty names stand for root's. */
export interface Permission extends Owner {
  readonly regex: string
  /** Octal; empty keeps the mode that the file has in the store. */
  readonly mode: string
}

/** What differs between versions of nix2container. */
export interface MergedForm {
  /** Of everything in the layer, in seconds since 1970. */
  readonly mtime: number
  /** Whether a permission sets the group's own name, instead of the user's name for both. */
  readonly hasGnames: boolean
}

export const CURRENT_FORM: MergedForm = { mtime: STORE_MTIME, hasGnames: true }
/** Forms since October 2022, latest first. Source: nix2container, nix/tar.go (commits de69713 and 6f51fc5). */
const UNTIL_NOVEMBER_2024: MergedForm = { mtime: STORE_MTIME, hasGnames: false }
const UNTIL_JULY_2024: MergedForm = { mtime: 0, hasGnames: false }

/** The layer in each form in which it may have been made, latest first; no two of them have the same tar. */
export function inAllForms({ paths }: MergedLayer): MergedLayer[] {
  const namesMatter = paths.some(({ perms }) => perms.some(({ uname, gname }) => gname !== '' && gname !== uname))
  const forms = namesMatter ? [CURRENT_FORM, UNTIL_NOVEMBER_2024, UNTIL_JULY_2024] : [CURRENT_FORM, UNTIL_JULY_2024]
  return forms.map(form => ({ paths, form }))
}

export function isMerged(layer: FilesLayer): layer is MergedLayer {
  return 'form' in layer
}

export function storePathsOf(layer: FilesLayer): readonly string[] {
  return isMerged(layer) ? layer.paths.map(({ path }) => path) : layer.paths
}

/** Source: OCI image specification, layer.md, "Whiteouts". */
const WHITEOUT_PREFIX = '.wh.'

/** Whether a file of that name (without its folder) marks a deleted file when a tar is unpacked. */
export function isWhiteout(name: string | Buffer): boolean {
  return typeof name === 'string'
    ? name.startsWith(WHITEOUT_PREFIX)
    : name.subarray(0, WHITEOUT_PREFIX.length).equals(Buffer.from(WHITEOUT_PREFIX))
}
