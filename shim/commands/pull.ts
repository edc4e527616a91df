import { FinalError, toShimError } from '../../lib/errors.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { readContents } from '../../recipes/contents.ts'
import { parseFlakeUrl } from '../../recipes/flake-url.ts'
import { parsePackageName } from '../../recipes/package-name.ts'
import { normalizeFlakeImage } from '../../recipes/reference.ts'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'
import { hostSystem, parseSystem } from '../../recipes/system.ts'
import { IMAGE_SERVICE } from '../wire/cri.ts'
import type { WireProgress } from '../wire/progress.ts'
import { PULLS } from '../wire/pulls.ts'
import { chooseView, type PullIo } from './choose-view.ts'
import type { PullView } from './pull-view.ts'
import { createShimClient } from './shim-client.ts'

export interface PullArguments {
  readonly image: string
  /** Without a flake URL the image has no annotations. */
  readonly flakeUrl?: string | undefined
  /** A flake needs this or `contents`. */
  readonly packageName?: string | undefined
  /** As in the annotation. */
  readonly contents?: string | undefined
  readonly system?: string | undefined
  readonly namespace: string
  /** Path of the shim's socket. */
  readonly socket: string
}

/**
 * Pulls as a kubelet does, with the annotations of a pod in the call, and shows the progress.
 * Throws RecipeInvalid, ShimAway, PullFailed with the shim's message, or Cancelled.
 */
export async function pull(args: PullArguments, { json, output, signal }: PullIo): Promise<void> {
  const { image } = args
  const client = createShimClient(args.socket, signal)
  const view = chooseView({ image, output }, json)
  try {
    checkArguments(args)
    const events = client.serverStream(PULLS.Watch, { image })
    // After the first event the shim is watching, so that no progress of the pull is missed.
    await events.next()
    const shown = showAll(events, view)
    const { imageRef } = await client.unary(IMAGE_SERVICE.PullImage, pullRequest(args))
    client.close()
    await shown
    view.done(imageRef)
  } catch (error) {
    view.failed(toShimError(error))
    throw error
  } finally {
    view.close()
    client.close()
  }
}

/** Checks them here, because the shim's messages would name annotations of a pod instead of options. */
function checkArguments({ image, flakeUrl, packageName, contents, system }: PullArguments): void {
  check('IMAGE', () => storePathRecipe(image) ?? normalizeFlakeImage(image))
  if (flakeUrl !== undefined) check('--flake', () => parseFlakeUrl(flakeUrl))
  if (packageName !== undefined) check('--package', () => parsePackageName(packageName))
  if (system !== undefined) check('--system', () => parseSystem(system))
  if (contents !== undefined) check('--contents', () => readContents(contents, system, hostSystem()))
}

function check(name: string, parse: () => unknown): void {
  try {
    parse()
  } catch (cause) {
    if (!(cause instanceof FinalError)) throw cause
    throw new FinalError('RecipeInvalid', `${name}: ${cause.message}`, { cause })
  }
}

/** Resolves when the client is closed. */
async function showAll(events: AsyncIterable<WireProgress>, view: PullView): Promise<void> {
  try {
    for await (const event of events) view.progress(event)
  } catch {
    // The pull fails for the same reason and reports it.
  }
}

/** As a kubelet sends it: the annotations come with the image and with the sandbox. */
function pullRequest(args: PullArguments) {
  const { image, namespace } = args
  const annotations = annotationsOf(args)
  return {
    image: { image, annotations },
    sandboxConfig: { metadata: { name: 'enbi-shim-pull', namespace }, annotations },
  }
}

function annotationsOf({ image, ...args }: PullArguments): Record<string, string> {
  if (args.flakeUrl === undefined) return {}
  const values = { imageTag: image, ...args }
  const keys = (['imageTag', 'flakeUrl', 'packageName', 'contents', 'system'] as const).flatMap(key => {
    const value = values[key]
    return value === undefined ? [] : [[annotationName(key), value] as const]
  })
  return Object.fromEntries(keys)
}
