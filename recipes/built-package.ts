import * as v from 'valibot'

/** A package that is a program: the image is the archive that it writes to its standard output. */
export interface ImageProgram {
  /** Where it lies: a store path, or below one. */
  readonly path: string
  /** The store path that has it, or refers to what has it. */
  readonly storePath: string
  /** A shell that can run where the package can. The argument goes before all others; it may be empty, which is none. */
  readonly shell: { readonly path: string; readonly argument: string }
}

/** What a flake may say about running a package as an image. */
export const packageHintsSchema = v.object({
  /** `meta.mainProgram`: name of a program below `bin`. */
  mainProgram: v.exactOptional(v.string()),
  /**
   * The attribute `imageConfig` (so `passthru.imageConfig`): keys of an OCI image's config, as JSON of at most 64 KiB. A
   * store path that it names is not built for its sake: it has to be in the package's closure.
   */
  imageConfig: v.exactOptional(v.record(v.string(), v.unknown())),
})
export type PackageHints = Readonly<v.InferOutput<typeof packageHintsSchema>>
