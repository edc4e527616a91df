import type { Logger } from 'pino'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { FinalError, toShimError } from '../../lib/errors.ts'
import { STATUS } from '../../lib/grpc/status.ts'
import { quote } from '../../lib/text/quote.ts'
import { findRecipe } from '../../recipes/find-recipe.ts'
import type { FlakeUrl } from '../../recipes/flake-url.ts'
import type { Names } from '../../recipes/names/names.ts'
import type { Policy, PolicyRule } from '../../recipes/policy/policy.ts'
import { isFlakeRecipe, isLocked, type Recipe, recipeKey } from '../../recipes/recipe.ts'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'
import { refuseForeign } from '../import/image/check-image.ts'
import type { BuildResult } from '../nix/store/results.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import { decodePullImage, IMAGE_SERVICE, type PullImageRequest } from '../wire/cri.ts'
import type {
  FindClusterRecipe,
  FindLock,
  ImageRecords,
  ImageRequest,
  PullOutcome,
  PullReporter,
  RequestLimits,
  Run,
  RunTerms,
  Stages,
  WarnPod,
} from './contract.ts'
import { holdPull } from './hold-pull.ts'
import { findRecord, isOfResult, presentId, RECIPE_LABEL, STORE_PATH_LABEL } from './image-of-recipe.ts'
import { importResult } from './import-result.ts'
import { createOtherRecipes } from './other-recipes.ts'
import type { PullProgress } from './progress.ts'
import type { RunPromise } from './runs/promised-runs.ts'
import type { Join, RunCall, RunRequest, SharedRuns } from './runs/shared-runs.ts'
import { warnDrifted } from './warn-drifted.ts'

export interface PullImageParts {
  readonly policy: Policy
  readonly names: Names
  /** Nix system of this node. */
  readonly system: string
  /** Missing without a cluster. */
  readonly findClusterRecipe: FindClusterRecipe | undefined
  /** Missing without a cluster. */
  readonly findLock: FindLock | undefined
  /** Missing without a cluster. */
  readonly warnPod: WarnPod | undefined
  readonly images: () => Promise<ImageRecords>
  /** Throws a ShimError while builds are impossible. */
  readonly stages: () => Promise<Stages>
  readonly runs: SharedRuns<PullOutcome>
  /** Longest time that a pull of a pod waits. Undefined means no limit. */
  readonly holdMs: number | undefined
  readonly progressOf: (recipe: Recipe) => PullProgress | undefined
  readonly reporter: PullReporter
  readonly logger: Logger
}

/**
 * Answers PullImage of an image that has a recipe once the image is in containerd, and forwards every other PullImage. Calls whose
 * raw bytes rule out a recipe do not get here (`recipe-filter.ts`): they are forwarded without being decoded.
 */
export function interceptPullImage(parts: PullImageParts): UnaryInterceptor {
  const others = createOtherRecipes({ ...parts, pull: (request, limits) => pullImage(parts, request, limits) })
  return async ({ request: message, signal }) => {
    const call = decodePullImage(message)
    const found = await findRecipeOf(parts, call, signal)
    if (signal.aborted) throw callerLeft(signal)
    const ended = others.request(call, found?.recipe)
    signal.addEventListener('abort', () => ended(callerLeft(signal)), { once: true })
    if (!found) {
      const afterwards = (grpcStatus: number) => {
        ended(grpcStatus === STATUS.CANCELLED ? callerLeft(signal) : undefined)
        warnDrifted(parts, call, grpcStatus)
      }
      return { kind: 'forward', afterwards }
    }
    const { namespace, pod } = call
    using held = holdPull(parts.holdMs, () => parts.progressOf(found.recipe))
    const hold = pod && { caller: pod.uid, signal: held.signal }
    try {
      const imageId = await pullImage(parts, { ...found, namespace, pod }, { signal, hold })
      ended()
      return { kind: 'reply', message: IMAGE_SERVICE.PullImage.responseSerialize({ imageRef: imageId }) }
    } catch (error) {
      ended(toShimError(error))
      throw error
    }
  }
}

/** Finds the recipe in the annotations of the pod, otherwise in the image's own name, otherwise in the cluster. */
async function findRecipeOf(
  { system, names, findClusterRecipe }: PullImageParts,
  { image, namespace, annotations }: PullImageRequest,
  signal: AbortSignal,
): Promise<Pick<ImageRequest, 'recipe' | 'nixBuild'> | undefined> {
  const recipe = findRecipe({ image, annotations, system }) ?? storePathRecipe(image) ?? names.recipeOf(image)
  if (recipe) return { recipe }
  return namespace === '' ? undefined : findClusterRecipe?.({ image, namespace, signal })
}

/** Serves one image request, of a PullImage or of an assigned build. Returns the image id; throws a ShimError. */
export async function pullImage(parts: PullImageParts, request: ImageRequest, limits: RequestLimits): Promise<string> {
  using admitted = admit(parts, request)
  const report = parts.reporter.waiting(request)
  try {
    const signal = anyOf(limits.signal, report.signal)
    const onPromise = (promise: RunPromise) => report.promised?.(promise)
    const { imageId } = await shareRun(parts, request, admitted, { ...limits, signal, onPromise })
    report.done()
    return imageId
  } catch (error) {
    report.failed(toShimError(error))
    throw error
  }
}

interface Admitted extends Disposable {
  readonly rule: PolicyRule
  readonly runRequest: RunRequest<PullOutcome>
}

/** Checks the policy, the system and the limit of the namespace before anything is asked of containerd or Nix. */
function admit({ policy, system, runs, reporter }: PullImageParts, request: ImageRequest): Admitted {
  const { namespace, recipe } = request
  try {
    const rule = policy(namespace, recipe)
    requireSystem(recipe, system)
    const runRequest = runs.request(recipeKey(recipe), namespace)
    return { rule, runRequest, [Symbol.dispose]: () => runRequest[Symbol.dispose]() }
  } catch (error) {
    reporter.refused(request, toShimError(error))
    throw error
  }
}

/** Joins the run of the recipe, or starts it. */
async function shareRun(
  { images, stages, reporter, findLock }: PullImageParts,
  { recipe, namespace, pod, nixBuild }: ImageRequest,
  { rule, runRequest }: Admitted,
  { signal, hold, onPromise }: RequestLimits & Pick<Join<PullOutcome>, 'onPromise'>,
): Promise<PullOutcome> {
  const records = await images()
  const record = await findRecord(records, recipe.image, signal)
  if (record) refuseForeign({ ...rule, image: recipe.image, ownedBy: RECIPE_LABEL }, record)
  const usable = await stages()
  const terms = termsOf(rule)
  const isOfCluster = (pod ?? nixBuild) !== undefined
  const lockOf = async (owner: string) =>
    isOfCluster && isFlakeRecipe(recipe)
      ? findLock?.({ recipe, namespace: owner, nixBuild: owner === namespace ? nixBuild : undefined })
      : undefined
  const start = (call: RunCall) => {
    const run = { ...call, recipe, record, terms }
    const findShared = findLock && (() => findSharedLock(call.owners.current(), lockOf))
    return reportRun(reporter, { ...run, findLock: findShared }, work => makeImage(usable, work))
  }
  const stillHolds = async ({ imageId }: PullOutcome) =>
    (await presentId(records, record, { recipe, signal })) === imageId
  return runRequest.join({ start, terms: JSON.stringify(terms), signal, hold, onPromise, stillHolds })
}

/** Beyond this number, the API server is not asked. */
const MAX_LOCKS = 10

/** The lock that all namespaces have: none of them may choose what the others run. */
async function findSharedLock(
  namespaces: readonly string[],
  lockOf: (namespace: string) => Promise<FlakeUrl | undefined>,
): Promise<FlakeUrl | undefined> {
  if (namespaces.length > MAX_LOCKS) return undefined
  const [first, ...others] = await Promise.all(namespaces.map(lockOf))
  return others.every(other => other?.url === first?.url) ? first : undefined
}

async function reportRun(
  reporter: PullReporter,
  call: Omit<Run, 'onProgress'>,
  work: (run: Run) => Promise<PullOutcome>,
): Promise<PullOutcome> {
  const report = reporter.started(call.recipe)
  try {
    const outcome = await work({ ...call, onProgress: report.progress })
    report.done(outcome)
    return outcome
  } catch (error) {
    report.failed(toShimError(error))
    throw error
  }
}

async function makeImage(stages: Stages, run: Run): Promise<PullOutcome> {
  const outcome = await buildAndImport(stages, run)
  if (outcome.storePath !== undefined) stages.builder.announce(outcome.storePath)
  return outcome
}

/** Builds the recipe and imports the result. Skips what is already done. */
async function buildAndImport(stages: Stages, run: Run): Promise<PullOutcome> {
  const { recipe, record, onProgress } = run
  // The flake of an image that exists may have changed, unless it is locked.
  const presentImage = isLocked(recipe) ? await presentId(stages.images, record, run) : undefined
  if (presentImage !== undefined) {
    onProgress({ phase: 'present' })
    return { imageId: presentImage, storePath: record?.labels[STORE_PATH_LABEL], present: true }
  }
  const result = (await stages.builder.findResult(recipe)) ?? (await stages.builder.build(recipe, run))
  const { storePath, runId, lockedFlakeUrl } = result
  const made = { storePath, runId, lockedFlakeUrl }
  onProgress({ phase: 'built', storePath })
  const unchanged = await imageOfResult(stages.images, run, result)
  if (unchanged !== undefined) {
    onProgress({ phase: 'present' })
    return { ...made, imageId: unchanged, present: true }
  }
  return { ...made, imageId: await importResult(stages, run, result), present: false }
}

/** Id of an existing image that was made from exactly this result. Reads the record again: a build may take an hour. */
async function imageOfResult(images: ImageRecords, run: Run, result: BuildResult): Promise<string | undefined> {
  const record = await findRecord(images, run.recipe.image, run.signal)
  return record && isOfResult(record, result) ? presentId(images, record, run) : undefined
}

/** Refuses a flake for another system. Which system a store path is for turns out during the import. */
function requireSystem(recipe: Recipe, host: string): void {
  if (!isFlakeRecipe(recipe) || recipe.system === host) return
  const { image, system } = recipe
  throw new FinalError('SystemUnsupported', `${quote(image)} is wanted for ${system}, and this node is ${host}`)
}

/** The part of a rule that affects a run. Requests with the same terms may share the run, including its failure. */
function termsOf({ replaceForeign, plainPackages, maxImageSize }: PolicyRule): RunTerms {
  return { replaceForeign, plainPackages, maxImageSize }
}

function anyOf(signal: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other ? AbortSignal.any([signal, other]) : signal
}
