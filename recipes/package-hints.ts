import * as v from 'valibot'

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
