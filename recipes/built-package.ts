import * as v from 'valibot'

/** A path may have 4,096 bytes. */
const path = v.pipe(v.string(), v.maxLength(64 * 1024))

export const imageProgramSchema = v.object({
  /** A store path, or a path below one. */
  path,
  /** The store path of the package, or one that refers to it. */
  storePath: path,
  /** Runs wherever the package does. The argument goes before all others; empty for none. */
  shell: v.object({ path, argument: path }),
})
/** A package that is a program: the image is what it writes to its standard output, once it has been run elsewhere. */
export type ImageProgram = Readonly<v.InferOutput<typeof imageProgramSchema>>

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
