import type { Logger } from 'pino'
import { FinalError, toShimError } from '../../lib/errors.ts'
import { quote } from '../../lib/text/quote.ts'
import type { Policy, PolicyRule } from '../../recipes/policy/policy.ts'
import { isFlakeRecipe, type Recipe, recipeFields, recipeKey } from '../../recipes/recipe.ts'
import { refuseForeign } from '../import/image/refuse-foreign.ts'
import type { FlakeImageRequest, ImageRecords, ImageRequest, PullImage, PullOutcome, PullReporter } from './contract.ts'
import { RECIPE_LABEL } from './labels.ts'
import type { ProgressHub, PullProgress } from './progress.ts'
import type { PullLog } from './pull-log.ts'
import { pullRecipe, type RecipePull, type Stages } from './pull-recipe.ts'
import type { RunCall, SharedRuns, Want } from './shared-runs.ts'
import { whenContainerdAnswers } from './when-containerd-answers.ts'

export interface MakeImageOptions {
  readonly policy: Policy
  readonly images: () => Promise<ImageRecords>
  readonly stages: () => Promise<Stages>
  readonly runs: SharedRuns<PullOutcome>
  readonly progress: ProgressHub
  readonly pullLog: PullLog
  /** Nix system of this node. */
  readonly system: string
  readonly reporter: PullReporter<FlakeImageRequest> | undefined
  readonly logger: Logger
}

/** Makes images of recipes, as far as policy and system allow; all who want the same one share one run. */
export function createMakeImage(options: MakeImageOptions): PullImage {
  return async (request, signal) => {
    using admitted = admit(options, request)
    const { rule, want } = admitted
    const report = isFlakeWish(request) ? options.reporter?.waiting(request) : undefined
    const wanted = report?.signal ? AbortSignal.any([signal, report.signal]) : signal
    const wait = options.pullLog.waiting(request)
    try {
      const { imageId } = await join(options, request, { rule, want, signal: wanted })
      wait.done()
      report?.done()
      return imageId
    } catch (error) {
      wait.failed(toShimError(error))
      report?.failed(toShimError(error))
      throw error
    }
  }
}

interface Admitted extends Disposable {
  readonly rule: PolicyRule
  readonly want: Want<PullOutcome>
}

/** Before anything is asked of containerd, nix or the cluster. */
function admit({ policy, system, reporter, pullLog, runs }: MakeImageOptions, request: ImageRequest): Admitted {
  const { namespace, recipe } = request
  try {
    const rule = policy(namespace, recipe)
    requireSystem(recipe, system)
    const want = runs.want(recipeKey(recipe), namespace)
    return { rule, want, [Symbol.dispose]: () => want[Symbol.dispose]() }
  } catch (error) {
    pullLog.refused(request, toShimError(error))
    if (isFlakeWish(request)) reporter?.refused(request, toShimError(error))
    throw error
  }
}

/** A NixBuild is of a flake: of a store path the cluster is told nothing. */
function isFlakeWish(request: ImageRequest): request is FlakeImageRequest {
  return isFlakeRecipe(request.recipe)
}

/** Of a store path, the import finds out. */
function requireSystem(recipe: Recipe, host: string): void {
  if (!isFlakeRecipe(recipe) || recipe.system === host) return
  const { image, system } = recipe
  throw new FinalError('SystemUnsupported', `${quote(image)} is wanted for ${system}, and this node is ${host}`)
}

interface Join {
  readonly rule: PolicyRule
  readonly want: Want<PullOutcome>
  readonly signal: AbortSignal
}

async function join(options: MakeImageOptions, { recipe }: ImageRequest, { rule, want, signal }: Join) {
  const images = await options.images()
  const record = await whenContainerdAnswers(() => images.find(recipe.image), signal)
  if (record) refuseForeign({ ...rule, image: recipe.image, ownedBy: RECIPE_LABEL }, record)
  const stages = await options.stages()
  const terms = termsOf(rule)
  const start = (call: RunCall) =>
    observed(options, recipe, onProgress => pullRecipe(stages, { ...call, recipe, record, rule: terms, onProgress }))
  return want.join({ start, terms: JSON.stringify(terms), signal })
}

/** All that a run is told of a rule: whoever has the same may share it, failures included. */
function termsOf({ replaceForeign, plainPackages, maxImageSize }: PolicyRule): RecipePull['rule'] {
  return { replaceForeign, plainPackages, maxImageSize }
}

type Work = (onProgress: (progress: PullProgress) => void) => Promise<PullOutcome>

/** Runs the work with its progress published, and its begin, end and failure logged and reported. */
async function observed(options: MakeImageOptions, recipe: Recipe, work: Work): Promise<PullOutcome> {
  const { progress, pullLog, reporter, logger } = options
  const { image } = recipe
  const log = logger.child({ image, ...recipeFields(recipe) })
  const startedAt = performance.now()
  const durationMs = () => Math.round(performance.now() - startedAt)
  log.info('pull of a recipe started')
  const report = isFlakeRecipe(recipe) ? reporter?.started(recipe) : undefined
  const run = pullLog.started(recipe)
  try {
    const outcome = await work(event => {
      progress.publish(image, event)
      run.progress(event)
      report?.progress(event)
    })
    log.info({ imageId: outcome.imageId, durationMs: durationMs() }, 'pull of a recipe done')
    run.done(outcome)
    report?.done(outcome)
    return outcome
  } catch (err) {
    log.warn({ err, durationMs: durationMs() }, 'pull of a recipe failed')
    const error = toShimError(err)
    run.failed(error)
    report?.failed(error)
    throw error
  } finally {
    progress.end(image)
  }
}
