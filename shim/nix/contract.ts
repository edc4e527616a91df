import type { Owners } from '../../lib/queues/fair-order.ts'
import type { ImageProgram } from '../../recipes/built-package.ts'
import type { FlakeUrl } from '../../recipes/flake-url.ts'
import type { Recipe } from '../../recipes/recipe.ts'
import type { StorePathInfo } from '../../recipes/store-path.ts'
import type { BuildProgress } from './log/build-progress.ts'
import type { PathQuery } from './store/path-info.ts'
import type { BuildResult } from './store/results.ts'

export interface BuildCall {
  /** The namespaces that wait for the build. The queue is fair between namespaces. */
  readonly owners: Owners
  /** Aborted when nobody waits any more: the build leaves the queue, and nix and its children are ended. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: BuildProgress) => void
  /**
   * Finds the content that the unlocked flake of the recipe had elsewhere, once the build has left the queue. It is built unless it
   * is gone. Never throws. If missing, the result has no `lockedFlakeUrl` for an unlocked flake, which saves a nix command.
   */
  readonly findLock?: (() => Promise<FlakeUrl | undefined>) | undefined
}

/** Builds recipes with Nix. The caller joins equal builds and remembers failures. */
export interface Builder {
  /** Builds a recipe and keeps the result with a gc root. Throws a ShimError with one of the build codes. */
  build(recipe: Recipe, call: BuildCall): Promise<BuildResult>
  /**
   * Lets Nix run a program as a build, and calls `use` with the store path of the archive that it wrote. The path is kept until
   * `use` is done. The recipe is the one whose package is the program. Throws like `build`, and StreamFailed.
   */
  withArchive<Result>(
    program: ImageProgram,
    call: BuildCall & { readonly recipe: Recipe },
    use: (storePath: string) => Promise<Result>,
  ): Promise<Result>
  /** The result of a locked recipe if it is still in the store. Reads a few files and does not run nix. */
  findResult(recipe: Recipe): Promise<BuildResult | undefined>
  /** Tells other nodes, in the background, that this one has the path. */
  announce(storePath: string): void
  /** Removes the gc roots and results of every recipe whose key is not in `keys`. */
  keepOnly(keys: ReadonlySet<string>): Promise<void>
  /**
   * Has Nix collect garbage if the disk of the store is low. Never rejects, and takes a bounded time. `isNew`: gc roots were removed, so
   * there may be garbage that the last collection did not find.
   */
  collectGarbage(query: { readonly isNew: boolean }): Promise<void>
  /**
   * Asks Nix about paths of this node's store; binary caches are not asked. Returns each path once, in no order. Paths that are not
   * valid are left out; a recursive query throws StorePathMissing instead.
   */
  pathInfo(paths: readonly string[], query: PathQuery): Promise<readonly StorePathInfo[]>
}
