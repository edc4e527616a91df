import type { ShimError } from '../../lib/errors.ts'
import type { BuildProgress } from './log/build-progress.ts'

/**
 * Decides for the whole cluster who builds a store path, and from where the others copy it. The paths are those of input-addressed
 * derivations, which every node computes by itself.
 */
export interface PathSharing {
  /**
   * Claims the path for this node within a few seconds, while the caller holds a place for builds. Undefined if it may be had from
   * elsewhere, another node has claimed it, or this node must not build: then the caller gives up its place and asks `find`. Without
   * an API server this node builds, with a claim that only it knows of. Never throws unless aborted.
   */
  claim(path: SharedPath, signal: AbortSignal): Promise<PathClaim | undefined>
  /**
   * Waits until the path can be copied, or must be built here. Throws the error of the node that built it if that is final,
   * NothingBuilt if this node must not build and no other node has built it in time, and Cancelled.
   */
  find(path: SharedPath, call: FindCall): Promise<PathSource>
  /** Tells other nodes, in the background, that they can copy the path from this one. */
  has(storePath: string): void
}

export interface SharedPath {
  readonly storePath: string
  /**
   * The derivation. Others may have the same output path, if they differ only in how a fixed output is fetched: what happens to those
   * says nothing about this one.
   */
  readonly drvPath: string
  /** For messages. */
  readonly image: string
}

export interface FindCall {
  readonly signal: AbortSignal
  readonly onProgress: (progress: BuildProgress) => void
  /** URLs that this run could not copy from: the same set in all calls of a run, whose time to wait is counted together. */
  readonly failed: ReadonlySet<string>
}

export type PathSource =
  | { readonly kind: 'build'; readonly claim: PathClaim }
  | { readonly kind: 'copy'; readonly from: CopySource }

/** The caller tells how each copy ended. */
export interface CopySource {
  /** Of the binary cache. */
  readonly url: string
  /** Name of the node whose cache it is; undefined for a store of `share.stores`. */
  readonly node?: string | undefined
  /** The path is here, so that this node is a peer, too; or it could not be copied. Never throws. */
  end(copied: boolean): Promise<void>
}

/** This node builds the path. The claim is renewed until it ends. */
export interface PathClaim {
  /** Tells the nodes that wait how far the build is. */
  progress(progress: BuildProgress): void
  /**
   * Ends the claim: the path is here, or it could not be built. Never throws, and takes a few seconds at most; longer, but not for
   * ever, if `pushed` is given: then others can copy the path once that resolves.
   */
  end(failure?: ShimError, pushed?: Promise<void>): Promise<void>
}
