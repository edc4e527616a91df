import type { ShimError } from '../../lib/errors.ts'
import type { Owners } from '../../lib/queues/fair-order.ts'
import type { FlakeUrl } from '../../recipes/flake-url.ts'
import type { PolicyRule } from '../../recipes/policy/policy.ts'
import type { FlakeRecipe, Recipe } from '../../recipes/recipe.ts'
import type { ContainerdImages } from '../containerd/image-records.ts'
import type { ImageRecord } from '../containerd/services/images.ts'
import type { Importer } from '../import/image/contract.ts'
import type { Builder } from '../nix/contract.ts'
import type { PodIdentity } from '../wire/cri.ts'
import type { PullProgress } from './progress.ts'
import type { RunPromise } from './runs/promised-runs.ts'
import type { Hold } from './runs/shared-runs.ts'

/** Look-ups of the images that containerd has. */
export type ImageRecords = Pick<ContainerdImages, 'find' | 'present' | 'usable' | 'withLabel'>

/** One caller asks for the image of a recipe. */
export interface ImageRequest {
  readonly recipe: Recipe
  /** Namespace of the pod; empty when the call names none. */
  readonly namespace: string
  readonly pod?: PodIdentity | undefined
  /** Name of the NixBuild that the recipe comes from. */
  readonly nixBuild?: string | undefined
  /** Set if the caller retries after temporary failures. */
  readonly attempt?: Attempt | undefined
}

/** What ends an image request early. */
export interface RequestLimits {
  /** Withdraws the request. */
  readonly signal: AbortSignal
  readonly hold?: Hold | undefined
}

export interface Attempt {
  /** The first attempt has number 1. */
  readonly number: number
  /** Maximum number of attempts. */
  readonly max: number
}

/** What a run needs. */
export interface Stages {
  readonly builder: Builder
  readonly importer: Importer
  readonly images: ImageRecords
}

/** Everything done for one recipe, shared by its image requests. */
export interface Run {
  readonly recipe: Recipe
  /** Namespaces of its requests. */
  readonly owners: Owners
  /** Image record that had the image's name before the run. */
  readonly record: ImageRecord | undefined
  readonly terms: RunTerms
  /** The content to build if the flake is not locked. Undefined: its current one. Missing on a node without a cluster. */
  readonly findLock: (() => Promise<FlakeUrl | undefined>) | undefined
  /** Aborted when no request waits for the run any more. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: PullProgress) => void
}

/** The part of the rule that affects a run. */
export type RunTerms = Pick<PolicyRule, 'replaceForeign' | 'plainPackages' | 'maxImageSize'>

export interface PullOutcome {
  readonly imageId: string
  /** Store path that the image was made from, if known. */
  readonly storePath?: string | undefined
  /** URL of the content of its flake that was built, if known. */
  readonly lockedFlakeUrl?: string | undefined
  /** Id of the run of nix that built it, which also names its log; if known. */
  readonly runId?: string | undefined
  /** Whether nothing had to be built or imported. */
  readonly present: boolean
}

/**
 * Brings the image of a request into containerd and returns its image id. Aborting `signal` withdraws this request alone.
 * Throws a ShimError.
 */
export type PullImage = (request: ImageRequest, signal: AbortSignal) => Promise<string>

/** Hears of every image request and every run. A reporter never throws and never delays a pull. */
export interface PullReporter {
  /** The request is not allowed, or not for this node: no run starts. */
  refused(request: ImageRequest, error: ShimError): void
  /** The request waits for its image from now on. */
  waiting(request: ImageRequest): RequestReport
  /** A run has begun, for every request of its recipe. */
  started(recipe: Recipe): RunReport
  /** Images may have been removed, or may have another recipe now. */
  imagesChanged(): void
}

export interface RequestReport {
  /** Aborted when the cluster withdraws the request. */
  readonly signal?: AbortSignal
  /** The request is about to end, and its caller is expected to ask again. */
  promised?(promise: RunPromise): void
  done(): void
  failed(error: ShimError): void
}

export interface RunReport {
  progress(progress: PullProgress): void
  done(outcome: PullOutcome): void
  failed(error: ShimError): void
}

/** Finds the recipe that the cluster has for an image of a pod without annotations. */
export type FindClusterRecipe = (query: ClusterRecipeQuery) => Promise<ClusterRecipe | undefined>

/**
 * Whether an image was made from another recipe than the NixBuilds have now that gave it to pods without annotations.
 * `image` is normalized, `recipe` the key of the recipe that it was made from. False if the API server does not answer.
 */
export type IsOutdated = (image: string, recipe: string) => Promise<boolean>

/** Finds the content of an unlocked flake that its NixBuild was built from, so that all nodes build the same. Never throws. */
export type FindLock = (query: LockQuery) => Promise<FlakeUrl | undefined>

export interface LockQuery {
  readonly recipe: FlakeRecipe
  readonly namespace: string
  /** By default, the NixBuild that is made for pods. */
  readonly nixBuild?: string | undefined
}

export interface ClusterRecipeQuery {
  /** As the kubelet names it. */
  readonly image: string
  readonly namespace: string
  readonly signal: AbortSignal
}

/** Warns a pod by an Event. */
export type WarnPod = (pod: PodIdentity, warning: PodWarning) => void

export interface PodWarning {
  readonly reason: 'NixBuildMismatch'
  readonly message: string
}

export interface ClusterRecipe {
  readonly recipe: FlakeRecipe
  /** Name of the NixBuild. */
  readonly nixBuild: string
}

/** The part of the API server that pulls use. */
export interface ClusterSide {
  readonly reporter: PullReporter
  /**
   * Answers within a bounded time, even if the API server does not. Throws a final ShimError when a NixBuild has no valid recipe, and
   * ClusterAway if an image that had a NixBuild cannot be looked up.
   */
  readonly findRecipe: FindClusterRecipe
  readonly isOutdated: IsOutdated
  readonly findLock: FindLock
  readonly warnPod: WarnPod
}
