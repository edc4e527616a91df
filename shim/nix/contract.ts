import type { Owners } from '../../lib/queues/fair-order.ts'
import type { ImageProgram } from '../../recipes/built-package.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import type { StorePathInfo } from '../../recipes/store-path.ts'
import type { BuildProgress } from './log/build-progress.ts'
import type { PathQuery } from './store/path-info.ts'
import type { BuildOutput } from './store/results.ts'

export interface BuildCall {
  /** The namespaces that want it; the queue is fair between namespaces. */
  readonly owners: Owners
  /** Aborted when nobody wants the build any more: the queue place is given up, nix and its children are ended. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: BuildProgress) => void
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
    program: ImageProgram,
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
  pathInfo(paths: readonly string[], query: PathQuery): Promise<readonly StorePathInfo[]>
}
