import * as v from 'valibot'
import type { Owners } from '../../../lib/queues/fair-order.ts'
import { cleanText, copyStart } from '../../../lib/text/text.ts'
import type { ImageProgram, PackageHints } from '../../../recipes/built-package.ts'
import type { StorePathInfo } from '../../../recipes/store-path.ts'

/** Brings build results into containerd, each in a separate process. Never runs a build result. */
export interface Importer {
  /** Resolves when CRI answers with the image. Throws a ShimError (see the import and containerd codes of the catalog). */
  importImage(call: ImportCall): Promise<ImportOutcome>
}

export interface ImportCall {
  /** What `nix build` left: a file or a folder below the Nix store. */
  readonly storePath: string
  /** Normalized image reference that the image gets. */
  readonly image: string
  /** Labels for the image record, in addition to those that containerd's CRI plugin requires. */
  readonly labels: Readonly<Record<string, string>>
  /** Name of the label that all image records of the shim have. */
  readonly ownedBy: string
  /** Whether an image of that name without this label may be replaced. */
  readonly replaceForeign: boolean
  /** If the package is a program: store path of the archive that it wrote when Nix ran it; missing before that. */
  readonly archive?: string | undefined
  /** Facts about the package, for an image of it. Missing if the policy rejects packages that are not images. */
  readonly plainPackage?: PackageHints | undefined
  /** Facts about the package set, those of its package if it has only one. Missing if the build result is not a package set. */
  readonly packageSet?: PackageHints | undefined
  /** Limit for the sum of its decompressed layers, in bytes. */
  readonly maxImageSize: number
  /** Namespaces that requested the image: imports are queued fairly across namespaces. */
  readonly owners: Owners
  readonly signal: AbortSignal
  readonly onProgress: (progress: ImportProgress) => void
}

export type ImportOutcome = ImportedImage | { readonly program: ImageProgram }

/** A path may have 4,096 bytes. A longer text did not come from the worker's own code. */
const text = v.pipe(v.string(), v.maxLength(64 * 1024))

export const importedImageSchema = v.object({
  /** Config digest, `sha256:<hex>`: the answer to PullImage. */
  imageId: text,
  /** Digest of the manifest, `sha256:<hex>`. */
  manifestDigest: text,
  /** Bytes that had to be written to containerd's content store. */
  sentBytes: v.number(),
})
export type ImportedImage = Readonly<v.InferOutput<typeof importedImageSchema>>

export const importProgressSchema = v.variant('phase', [
  /** Bytes of the build result that have been read; `totalBytes` is missing for an OCI layout. */
  v.object({ phase: v.literal('importing'), doneBytes: v.number(), totalBytes: v.exactOptional(v.number()) }),
  /** Layers. */
  v.object({ phase: v.literal('unpacking'), done: v.number(), expected: v.number() }),
])
export type ImportProgress = Readonly<v.InferOutput<typeof importProgressSchema>>

const MAX_REPORT_LENGTH = 500

export const linkingReportSchema = v.object({
  possible: v.boolean(),
  /** By plain copies: each image takes time and disk space, as with tars. */
  isCopied: v.optional(v.boolean(), false),
  /** The way, or the obstacle, which may quote the path of a file in a package. */
  how: v.pipe(
    v.string(),
    v.transform(text => copyStart(cleanText(text), MAX_REPORT_LENGTH)),
  ),
})
/** How files of the store get into snapshots, or why they cannot. */
export type LinkingReport = Readonly<v.InferOutput<typeof linkingReportSchema>>

/** Asks Nix about a valid store path and its whole closure. Throws a ShimError. */
export type QueryClosure = (
  storePath: string,
  options: { readonly signal: AbortSignal },
) => Promise<readonly StorePathInfo[]>
