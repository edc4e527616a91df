import type { ShimError } from '../../lib/errors.ts'
import type { FlakeRecipe, Recipe } from '../../recipes/recipe.ts'
import type { PullProgress } from './progress.ts'

/** An image record of containerd's. */
export interface ImageRecord {
  readonly labels: Readonly<Record<string, string>>
  /** Its manifest. */
  readonly target: { readonly digest: string }
}

/** What a pull needs to know of the images that are there already. */
export interface ImageRecords {
  /** By normalised reference. */
  find(image: string): Promise<ImageRecord | undefined>
  /** What CRI knows of the reference: image id (config digest) and size in bytes; undefined when it does not know it. */
  present(image: string): Promise<PresentImage | undefined>
  /** Whether containers can be made of the image, as it must be made here. */
  usable(record: ImageRecord): Promise<boolean>
  /** Every image record that has the label. */
  withLabel(label: string): Promise<readonly Pick<ImageRecord, 'labels'>[]>
}

export interface PresentImage {
  readonly id: string
  readonly size: number
}

/** Who wants the image of a recipe. */
export interface Wish {
  readonly recipe: Recipe
  /** Of the pod; empty when the call names none. */
  readonly namespace: string
  readonly pod?: PodIdentity | undefined
  /** Name of the NixBuild that it comes from. */
  readonly nixBuild?: string | undefined
  /** Of one who tries again after a failure that may pass. */
  readonly tries?: Tries | undefined
}

/** A wish that a NixBuild can tell of. */
export interface FlakeWish extends Wish {
  readonly recipe: FlakeRecipe
}

export interface Tries {
  /** Of this try; the first one has 1. */
  readonly number: number
  readonly most: number
}

/** The pod that a pull is for. */
export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface PullOutcome {
  readonly imageId: string
  /** What the image was made from, when that is known. */
  readonly storePath?: string | undefined
  /** Run of nix that made it, as its log is named; when that is known. */
  readonly runId?: string | undefined
  /** Nothing had to be built or imported. */
  readonly present: boolean
}

/** Makes the image of a recipe be there; returns its image id. `signal` takes this caller away. Throws a ShimError. */
export type MakeImage<Wanted = Wish> = (wish: Wanted, signal: AbortSignal) => Promise<string>

/** Is told what becomes of recipes of flakes. It never throws, and nothing that it does delays a pull. */
export interface PullReporter {
  /** The recipe is not allowed here, or not for this node: nothing is run. */
  refused(wish: FlakeWish, error: ShimError): void
  /** Somebody waits for the recipe from now on. */
  wanted(wish: FlakeWish): WishReport
  /** A run of the recipe has begun, for all who wait for it. */
  started(recipe: FlakeRecipe): RunReport
  /** Images may have been removed, or have got another recipe. */
  imagesChanged(): void
}

export interface WishReport {
  /** Aborted when the cluster no longer wants it: as if this caller went away. */
  readonly signal: AbortSignal
  done(): void
  failed(error: ShimError): void
}

export interface RunReport {
  progress(progress: PullProgress): void
  done(outcome: PullOutcome): void
  failed(error: ShimError): void
}

/** Recipes that the cluster has for images of pods without annotations. */
export type FindClusterRecipe = (query: ClusterRecipeQuery) => Promise<ClusterRecipe | undefined>

export interface ClusterRecipeQuery {
  /** As the kubelet asks for it. */
  readonly image: string
  readonly namespace: string
  readonly signal: AbortSignal
}

export interface ClusterRecipe {
  readonly recipe: FlakeRecipe
  /** Name of the NixBuild. */
  readonly nixBuild: string
}

/** What a shim with an API server does besides. */
export interface ClusterSide {
  readonly reporter: PullReporter
  /** Takes a bounded time, whatever the API server does. Throws a final ShimError when what it finds is no good recipe. */
  readonly findRecipe: FindClusterRecipe
}
