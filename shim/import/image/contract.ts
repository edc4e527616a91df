import type { Owners } from '../../../lib/queues/fair-order.ts'

/** How far an import is. */
export type ImportProgress =
  /** Bytes of the build output read so far; `totalBytes` is missing for an OCI layout. */
  | { readonly phase: 'importing'; readonly doneBytes: number; readonly totalBytes?: number }
  | { readonly phase: 'unpacking'; readonly done: number; readonly expected: number }

export interface ImportCall {
  /** What `nix build` left: a file or a folder below the Nix store. */
  readonly storePath: string
  /** Normalised image reference that the image gets. */
  readonly image: string
  /** For the image record, besides those that containerd's CRI plugin wants. */
  readonly labels: Readonly<Record<string, string>>
  /** A label: an image of that name without it is somebody else's. */
  readonly ownedBy: string
  /** Whether somebody else's image of that name may be replaced. */
  readonly replaceForeign: boolean
  /** Store path of the archive that the program wrote which the package is; missing while that has not been run. */
  readonly archive?: string | undefined
  /** What is known of the package besides; missing: only an image is taken for one. */
  readonly plainPackage?: PackageHints | undefined
  /** What is known of the packages of a set; missing: it is none. */
  readonly packageSet?: PackageSetHints | undefined
  /** Most bytes of its layers, decompressed. */
  readonly maxImageSize: number
  /** The namespaces that want it; imports are fair between namespaces. */
  readonly owners: Owners
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export interface ImportedImage {
  /** Config digest, `sha256:<hex>`: what PullImage answers. */
  readonly imageId: string
  /** Digest of the manifest, `sha256:<hex>`. */
  readonly manifestDigest: string
  /** Bytes that had to be written to containerd's content store. */
  readonly sentBytes: number
}

/** A package that is a program: the image is what it writes to its standard output, once it has been run elsewhere. */
export interface ImageProgram {
  /** Where it lies: a store path, or below one. */
  readonly path: string
  /** The package. */
  readonly storePath: string
  /** Can be run where the package can. The argument goes before all others; it may be empty, which is none. */
  readonly shell: { readonly path: string; readonly argument: string }
}

export type ImportOutcome = ImportedImage | { readonly program: ImageProgram }

/** What tells how a package that is no image is run. */
export interface PackageHints {
  /** Name of its main program below `bin`. */
  readonly mainProgram?: string | undefined
  /** Keys of an OCI image's config. */
  readonly imageConfig?: Readonly<Record<string, unknown>> | undefined
}

/** What tells how the image of a package set is run. */
export interface PackageSetHints {
  /** Name of a program below `bin`, of a set of one package. */
  readonly mainProgram?: string | undefined
}

/** What Nix knows of a valid store path. */
export interface StorePathInfo {
  readonly path: string
  /** sha256 of its NAR, lower-case hex. */
  readonly narHash: string
  /** In bytes. */
  readonly narSize: number
  /** Store paths that it refers to; left out where no image is made of packages. */
  readonly references: readonly string[]
}

/** Asks Nix about a valid store path and all that it refers to, and so on. Throws a ShimError. */
export type QueryClosure = (
  storePath: string,
  options: { readonly signal: AbortSignal },
) => Promise<readonly StorePathInfo[]>

/** How layers of store paths get into containerd: `linked`: without a tar, where that is possible; `tar`: with one. */
export type LayerMode = 'linked' | 'tar'

/** Brings build outputs into containerd, in processes of their own. Runs none of them. Resolves when CRI answers with the image. */
export interface Importer {
  /** Throws a ShimError (see the import and containerd codes of the catalogue). */
  importImage(call: ImportCall): Promise<ImportOutcome>
}
