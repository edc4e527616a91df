import { type Preparation, prepareImage } from '../../kube/prepare-image.ts'
import { type LabelSelector, parseLabelSelector } from '../../kube/resources/label-selector.ts'
import { recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { FinalError, messageOf, RetryableError, toShimError } from '../../lib/errors.ts'
import { describeDuration } from '../../lib/text/units.ts'
import { readContents } from '../../recipes/contents.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import { linuxSystem } from '../../recipes/system.ts'
import type { WireProgress } from '../wire/progress.ts'
import { chooseView, type PullIo } from './choose-view.ts'
import { type UserKubeArguments, withUserKube } from './user-kube.ts'

export interface NodesArguments extends UserKubeArguments {
  readonly image: string
  readonly flakeUrl: string
  readonly packageName?: string | undefined
  /** As in the annotation. */
  readonly contents?: string | undefined
  /** By default Linux on the processor of this host, which may be a user's laptop. */
  readonly system?: string | undefined
  /** A label selector, or `all`. */
  readonly nodes: string
  readonly timeoutMs: number
}

/**
 * Has nodes make an image by a NixBuild, and shows the progress until all have it. Throws RecipeInvalid, ConfigInvalid,
 * PullFailed, errors of the API server, or Cancelled.
 */
export async function pullOnNodes(args: NodesArguments, { json, output, signal }: PullIo): Promise<void> {
  const { image, timeoutMs } = args
  const view = chooseView({ image, output }, json)
  const late = AbortSignal.timeout(timeoutMs)
  try {
    const [recipe, nodes] = [readRecipe(args), readNodes(args.nodes)]
    const imageId = await withUserKube(args, ({ kube, namespace }) => {
      const onProgress = (preparation: Preparation) => view.progress(progressOf(preparation))
      const wanted = { recipe, nodes, namespace }
      return prepareImage(wanted, { kube, onProgress, signal: AbortSignal.any([signal, late]) })
    })
    view.done(imageId)
  } catch (cause) {
    const error = late.aborted && !signal.aborted ? tooLate(timeoutMs) : toShimError(cause)
    view.failed(error)
    throw error
  } finally {
    view.close()
  }
}

function tooLate(timeoutMs: number): RetryableError {
  const message = `not all nodes have the image after ${describeDuration(timeoutMs)} (--timeout); they continue`
  return new RetryableError('PullFailed', message)
}

function readRecipe(args: NodesArguments): FlakeRecipe {
  const { image: imageTag, flakeUrl, packageName, contents: names, system = linuxSystem() } = args
  try {
    const set = names === undefined ? { system } : readContents(names, args.system, system)
    const contents = 'contents' in set ? [...set.contents] : undefined
    return recipeOf({ spec: { imageTag, flakeUrl, packageName, contents, system: set.system } })
  } catch (cause) {
    throw new FinalError('RecipeInvalid', messageOf(cause), { cause })
  }
}

function readNodes(text: string): LabelSelector {
  if (text === 'all') return {}
  try {
    return parseLabelSelector(text)
  } catch (cause) {
    throw new FinalError('RecipeInvalid', `--nodes: ${messageOf(cause)}`, { cause })
  }
}

function progressOf({ selected = 0, ready, text }: Preparation): WireProgress {
  return { phase: 'preparing', done: ready, expected: selected, text }
}
