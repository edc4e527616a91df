/** A package that is a program: the image is the archive that it writes to its standard output. */
export interface ImageProgram {
  /** Where it lies: a store path, or below one. */
  readonly path: string
  /** The store path that has it, or refers to what has it. */
  readonly storePath: string
  /** A shell that can run where the package can. The argument goes before all others; it may be empty, which is none. */
  readonly shell: { readonly path: string; readonly argument: string }
}
