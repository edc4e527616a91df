import { Client, credentials, Metadata } from '@grpc/grpc-js'
import { FinalError, toShimError } from '../../lib/errors.ts'
import { isRedrawable } from '../../lib/text/redrawable.ts'
import { annotationName } from '../../recipes/annotations.ts'
import { readContents } from '../../recipes/contents.ts'
import { parseFlakeUrl } from '../../recipes/flake-url.ts'
import { parsePackageName } from '../../recipes/package-name.ts'
import { normaliseFlakeImage } from '../../recipes/reference.ts'
import { storePathRecipe } from '../../recipes/store-path-reference.ts'
import { hostSystem, parseSystem } from '../../recipes/system.ts'
import { decodePullImageResponse, encodePullImage } from '../wire/cri-messages.ts'
import { PULL_IMAGE_PATH, WATCH_PULLS_PATH } from '../wire/methods.ts'
import { decodePullProgress, encodeWatchRequest, type WireProgress } from '../wire/pull-messages.ts'
import { clientError } from './client-error.ts'
import { createJsonView } from './pull-view/json-view.ts'
import { createLineView } from './pull-view/line-view.ts'
import { createLiveView } from './pull-view/live-view.ts'
import type { PullView, TerminalOptions } from './pull-view/pull-view.ts'

export interface PullArguments {
  readonly image: string
  /** Without it the image has no annotations. */
  readonly flakeUrl?: string | undefined
  /** With a flake this, or `contents`. */
  readonly packageName?: string | undefined
  /** As in the annotation. */
  readonly contents?: string | undefined
  readonly system?: string | undefined
  readonly namespace: string
  /** Path of the shim's socket. */
  readonly socket: string
}

export interface PullIo {
  readonly json: boolean
  readonly output: NodeJS.WriteStream
  readonly signal: AbortSignal
}

/**
 * Pulls as a kubelet does – the annotations of a pod come with the call – and shows the progress.
 * Throws RecipeInvalid, ShimAway, PullFailed with the shim's message, or Cancelled.
 */
export async function pull(args: PullArguments, { json, output, signal }: PullIo): Promise<void> {
  const client = new Client(`unix://${args.socket}`, credentials.createInsecure())
  const view = chooseView({ image: args.image, output }, json)
  const end = new AbortController()
  try {
    checkArguments(args)
    await watch(client, args, AbortSignal.any([signal, end.signal]), view.progress)
    view.done(await pullImage(client, args, signal))
  } catch (error) {
    view.failed(toShimError(error))
    throw error
  } finally {
    end.abort()
    view.close()
    client.close()
  }
}

/** The shim would speak of the annotations of a pod. */
function checkArguments({ image, flakeUrl, packageName, contents, system }: PullArguments): void {
  check('IMAGE', () => storePathRecipe(image) ?? normaliseFlakeImage(image))
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

/** Resolves when the shim is watching: nothing of a pull that starts now is missed. Goes on until the signal aborts. */
function watch(
  client: Client,
  { image, socket }: PullArguments,
  signal: AbortSignal,
  onProgress: (progress: WireProgress) => void,
): Promise<void> {
  const call = client.makeServerStreamRequest(WATCH_PULLS_PATH, encodeWatchRequest, decodePullProgress, image)
  signal.addEventListener('abort', () => call.cancel(), { once: true })
  return new Promise((resolve, reject) => {
    call.on('data', (progress: WireProgress) => {
      if (progress.phase === 'watching') resolve()
      else onProgress(progress)
    })
    call.on('error', error => reject(clientError(error, socket)))
  })
}

function pullImage(client: Client, args: PullArguments, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = { image: args.image, namespace: args.namespace, annotations: annotationsOf(args) }
    const call = client.makeUnaryRequest(
      PULL_IMAGE_PATH,
      encodePullImage,
      decodePullImageResponse,
      request,
      new Metadata(),
      (error, imageRef) => (error ? reject(clientError(error, args.socket)) : resolve(imageRef ?? '')),
    )
    signal.addEventListener('abort', () => call.cancel(), { once: true })
  })
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

/** JSON if asked for, a live view on a terminal, plain lines elsewhere. */
function chooseView(options: TerminalOptions, json: boolean): PullView {
  if (json) return createJsonView(options)
  return isRedrawable(options.output) ? createLiveView(options) : createLineView(options)
}
