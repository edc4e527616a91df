import { type Owner, STORE_MTIME } from './layer.ts'

/** A layer as nix2container makes them: store paths, some of them moved or with other permissions. */
export interface MergedLayer {
  readonly paths: readonly MergedPath[]
  readonly form: MergedForm
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

/** What differs between versions of nix2container. */
export interface MergedForm {
  /** Of everything in the layer, in seconds since 1970. */
  readonly mtime: number
  /** Whether a permission's group has its own name, and not that of the user. */
  readonly hasGnames: boolean
}

export const TODAYS_FORM: MergedForm = { mtime: STORE_MTIME, hasGnames: true }

/** Since October 2022, the latest first. Source: nix2container, nix/tar.go (commits de69713 and 6f51fc5). */
const UNTIL_NOVEMBER_2024: MergedForm = { mtime: STORE_MTIME, hasGnames: false }
const UNTIL_JULY_2024: MergedForm = { mtime: 0, hasGnames: false }

/** The layer in each form in which it may have been made, the latest first; no two of them have the same tar. */
export function inAllForms({ paths }: MergedLayer): MergedLayer[] {
  const namesMatter = paths.some(({ perms }) => perms.some(({ uname, gname }) => gname !== '' && gname !== uname))
  const forms = namesMatter ? [TODAYS_FORM, UNTIL_NOVEMBER_2024, UNTIL_JULY_2024] : [TODAYS_FORM, UNTIL_JULY_2024]
  return forms.map(form => ({ paths, form }))
}
