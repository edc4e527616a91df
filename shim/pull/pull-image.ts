import type { Logger } from 'pino'
import { type Recipe, recipeKey } from '../build/recipe.ts'
import { FinalError } from '../errors.ts'
import { refuseForeign } from '../import/refuse-foreign.ts'
import type { Policy } from '../policy/policy.ts'
import type { UnaryInterceptor } from '../proxy/contract.ts'
import { quote } from '../quote.ts'
import { findRecipe } from '../recipes/find-recipe.ts'
import type { ImageRecords } from './contract.ts'
import { decodePullImage, encodePullImageResponse } from './cri-messages.ts'
import { RECIPE_LABEL } from './labels.ts'
import type { ProgressHub } from './progress.ts'
import { pullRecipe, type Stages } from './pull-recipe.ts'
import type { SharedRuns } from './shared-runs.ts'
import { whenContainerdAnswers } from './when-containerd-answers.ts'

export interface PullImageOptions {
  readonly policy: Policy
  readonly images: () => Promise<ImageRecords>
  readonly stages: () => Promise<Stages>
  readonly runs: SharedRuns<string>
  readonly progress: ProgressHub
  /** Nix system of this node. */
  readonly system: string
  readonly logger: Logger
}

/** PullImage of a pod with annotations of ours: an image that has a recipe is built and imported, any other is containerd's. */
export function createPullImage(options: PullImageOptions): UnaryInterceptor {
  const { policy, runs, system } = options
  return async ({ request, signal }) => {
    const { image, namespace, annotations } = decodePullImage(request)
    const recipe = findRecipe({ image, annotations, system })
    if (!recipe) return { kind: 'forward' }
    const { replaceForeign } = policy(namespace, recipe)
    requireSystem(recipe, system)
    const images = await options.images()
    const record = await whenContainerdAnswers(() => images.find(recipe.image), signal)
    if (record) refuseForeign({ image: recipe.image, ownedBy: RECIPE_LABEL, replaceForeign }, record)
    const stages = await options.stages()
    const start = (runSignal: AbortSignal) =>
      observed(options, recipe, onProgress =>
        pullRecipe(stages, { recipe, namespace, record, replaceForeign, signal: runSignal, onProgress }),
      )
    const imageRef = await runs.join(recipeKey(recipe), start, signal)
    return { kind: 'reply', message: encodePullImageResponse({ imageRef }) }
  }
}

function requireSystem({ system, image }: Recipe, host: string): void {
  if (system === host) return
  throw new FinalError('SystemUnsupported', `${quote(image)} is wanted for ${system}, and this node is ${host}`)
}

type Work = (onProgress: (progress: Parameters<ProgressHub['publish']>[1]) => void) => Promise<string>

/** Runs the work with its progress published and its begin, end and failure logged. */
async function observed({ progress, logger }: PullImageOptions, recipe: Recipe, work: Work): Promise<string> {
  const { image, flake, packageName } = recipe
  const log = logger.child({ image, flake: flake.url, package: packageName })
  const startedAt = performance.now()
  const durationMs = () => Math.round(performance.now() - startedAt)
  log.info('pull of a recipe started')
  try {
    const imageId = await work(event => progress.publish(image, event))
    log.info({ imageId, durationMs: durationMs() }, 'pull of a recipe done')
    return imageId
  } catch (err) {
    log.warn({ err, durationMs: durationMs() }, 'pull of a recipe failed')
    throw err
  } finally {
    progress.end(image)
  }
}
