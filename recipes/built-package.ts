import * as v from 'valibot'

/** Generous: a path has at most 4,096 bytes. */
const path = v.pipe(v.string(), v.maxLength(64 * 1024))

export const imageProgramSchema = v.object({
  /** A store path, or a path below one. */
  path,
  /** Store path of the package, or of one that refers to it. */
  storePath: path,
  /** A shell that runs on the same systems as the package. `argument` comes before all others; empty for none. */
  shell: v.object({ path, argument: path }),
})
/** A package that is a program. Its standard output is the image; the program runs elsewhere. */
export type ImageProgram = Readonly<v.InferOutput<typeof imageProgramSchema>>

/** Attributes by which a flake says how to run a package as an image. */
export const packageHintsSchema = v.object({
  /** `meta.mainProgram`: the name of a program below `bin`. */
  mainProgram: v.exactOptional(v.string()),
  /**
   * The attribute `imageConfig` (or `passthru.imageConfig`): keys of an OCI image config, as JSON of at most 64 KiB.
   * Store paths in it must be in the package's closure; they are not built for its sake.
   */
  imageConfig: v.exactOptional(v.record(v.string(), v.unknown())),
})
export type PackageHints = Readonly<v.InferOutput<typeof packageHintsSchema>>
