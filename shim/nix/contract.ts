import type { Owners } from '../../lib/queues/fair-order.ts'
import type { Recipe } from '../../recipes/recipe.ts'

/** How far a build is. Numbers grow; `building` and `fetching` may alternate. */
export type BuildProgress =
  | { readonly phase: 'queued'; readonly ahead: number }
  /** The run of that id has begun; its log is named so. */
  | { readonly phase: 'evaluating'; readonly runId: string }
  /** Derivations: `done` of `expected` are built, `current` is the name of one that is being built. */
  | { readonly phase: 'building'; readonly done: number; readonly expected: number; readonly current?: string }
  /** Bytes from flake inputs and binary caches. */
  | { readonly phase: 'fetching'; readonly doneBytes: number; readonly expectedBytes: number }
  /** One line of a builder's log, terminal escapes removed, cut at 4,096 characters. */
  | { readonly phase: 'log'; readonly line: string }

export interface BuildOutput {
  /** Absolute, below the Nix store, validated. */
  readonly storePath: string
  /** Id of the run that made it, as its log file is named. */
  readonly runId: string
  /** What the package says of how it is run as an image; missing when it says nothing. */
  readonly package?: PackageHints
}

/** What a flake may say of a package that is to be run as an image. */
export interface PackageHints {
  /** `meta.mainProgram`: name of a program below `bin`. */
  readonly mainProgram?: string
  /**
   * The attribute `imageConfig` (so `passthru.imageConfig`): keys of an OCI image's config, as JSON of at most 64 KiB. A
   * store path that it names is not built for its sake: it has to be in the package's closure.
   */
  readonly imageConfig?: Readonly<Record<string, unknown>>
}

/** What Nix knows of a valid store path. */
export interface PathInfo {
  /** `/nix/store/<hash>-<name>` */
  readonly path: string
  /** sha256 of its NAR, lower-case hex. */
  readonly narHash: string
  /** In bytes. */
  readonly narSize: number
  /** Store paths that it refers to, itself among them if it does. */
  readonly references: readonly string[]
}

export interface PathQuery {
  /** The paths that they refer to as well, and so on. */
  readonly recursive: boolean
  /** A Nix daemon that is away is waited for, for a bounded time. */
  readonly waitForDaemon?: boolean
  readonly signal: AbortSignal
}

export interface BuildCall {
  /** The namespaces that want it; the queue is fair between namespaces. */
  readonly owners: Owners
  /** Aborted when nobody wants the build any more: the queue place is given up, nix and its children are ended. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: BuildProgress) => void
}

/** A program in the store that writes an image archive to its standard output. */
export interface ArchiveProgram {
  /** Where it lies: a store path, or below one. */
  readonly path: string
  /** The store path that has it, or refers to what has it. */
  readonly storePath: string
  /** Can be run where the package can. The argument goes before all others; it may be empty, which is none. */
  readonly shell: { readonly path: string; readonly argument: string }
}

/** Runs recipes with Nix. Joining equal builds is the caller's part; so is remembering failures. */
export interface Builder {
  /** Throws a ShimError (see the build codes of the catalogue). Holds the result by a gc root. */
  build(recipe: Recipe, call: BuildCall): Promise<BuildOutput>
  /**
   * Has Nix run a program, as a build of its own, and works with the archive that it wrote: `use` is told its store path, which
   * is held until it is done. The recipe is the one whose package the program is. Throws as `build`, and StreamFailed.
   */
  withArchive<Result>(
    program: ArchiveProgram,
    call: BuildCall & { readonly recipe: Recipe },
    use: (storePath: string) => Promise<Result>,
  ): Promise<Result>
  /** The result of a locked recipe when it is still in the store; costs a few file reads and no nix. None of an unlocked one. */
  findResult(recipe: Recipe): Promise<BuildOutput | undefined>
  /** Lets go of the gc roots and results of every recipe whose key is not in `keys`. */
  keepOnly(keys: ReadonlySet<string>): Promise<void>
  /**
   * Asks Nix about paths of this node's store, without looking elsewhere for them; each path once, in no order. What is no
   * valid store path is left out, or StorePathMissing when it was to be asked about recursively.
   */
  pathInfo(paths: readonly string[], query: PathQuery): Promise<readonly PathInfo[]>
}
