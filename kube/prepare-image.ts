import { callerLeft } from '../lib/async/bounded-wait.ts'
import { backOff } from '../lib/async/retry.ts'
import { RetryableError, ShimError } from '../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../recipes/recipe.ts'
import { isConflict } from './client/api-error.ts'
import type { Kube, ObjectName } from './client/contract.ts'
import type { LabelSelector } from './resources/label-selector.ts'
import { describeTakenNames, nixBuildNames } from './resources/names.ts'
import { creatorOf, type NixBuild, nixBuilds } from './resources/nixbuild.ts'
import { recipeOf, specOf } from './resources/nixbuild-recipe.ts'

/** An image to be made on nodes ahead of pods. */
export interface ImageToPrepare {
  readonly recipe: FlakeRecipe
  readonly nodes: LabelSelector
  readonly namespace: string
}

/** How far the nodes are. */
export interface Preparation {
  readonly nixBuild: string
  /** Undefined: the controller has not said yet how many there are. */
  readonly selected: number | undefined
  readonly ready: number
  /** What the node of the NixBuild does, for people. */
  readonly text: string
}

export interface PrepareOptions {
  readonly kube: Pick<Kube, 'get' | 'create' | 'patch' | 'delete' | 'watch'>
  readonly onProgress: (preparation: Preparation) => void
  readonly signal: AbortSignal
}

/**
 * Has the NixBuild of the recipe select these nodes, and waits until all of them have the image. Returns the image id.
 * Throws PullFailed with what the controller says, the errors of a Kube, or Cancelled, after which the nodes continue.
 */
export async function prepareImage(image: ImageToPrepare, options: PrepareOptions): Promise<string> {
  const { namespace } = image
  const { name, generation } = await selectNodes(image, options)
  let failures = 0
  while (!options.signal.aborted) {
    try {
      const imageId = await follow({ namespace, name }, generation, options)
      if (imageId !== undefined) return imageId
      failures = 0
    } catch (error) {
      if (options.signal.aborted || !isAway(error)) throw error
      failures += 1
    }
    await backOff(failures + 1, options.signal)
  }
  throw callerLeft(options.signal)
}

/** The API server may come back; the controller continues meanwhile. */
function isAway(error: unknown): boolean {
  return error instanceof ShimError && (error.code === 'ClusterAway' || error.code === 'ClusterExpired')
}

interface Found {
  readonly name: string
  /** The status of an earlier one is about other nodes. */
  readonly generation: number
}

/**
 * Creates the NixBuild or changes the one that there is. Those of other recipes stay, and those that the controller has
 * made for pods: they end with the pods.
 */
async function selectNodes(image: ImageToPrepare, options: PrepareOptions): Promise<Found> {
  const { kube, signal } = options
  const { recipe, nodes, namespace } = image
  const key = recipeKey(recipe)
  for (const name of nixBuildNames(recipe)) {
    const object = { namespace, name }
    const found = await kube.get(nixBuilds, object, { signal })
    const isOther = found !== undefined && (creatorOf(found) !== 'hand' || keyOf(found) !== key)
    if (isOther) continue
    // A new one is a new attempt for nodes that have failed.
    if (found?.status.status === 'Failed')
      await kube.delete(nixBuilds, { ...object, uid: found.metadata.uid }, { signal })
    const isThere = found !== undefined && found.status.status !== 'Failed'
    if (!isThere) await createUnlessThere(image, name, options)
    // A merge patch keeps what it does not name.
    const body = { spec: { nodes: { matchLabels: null, matchExpressions: null, ...nodes } } }
    const changed = await kube.patch(
      nixBuilds,
      { ...object, body },
      { type: 'merge', fieldManager: 'enbi-shim', signal },
    )
    if (changed) return { name, generation: changed.metadata.generation }
  }
  throw new RetryableError('ClusterConflict', describeTakenNames(recipe, namespace))
}

/** Undefined if its recipe is invalid. */
function keyOf(build: NixBuild): string | undefined {
  try {
    return recipeKey(recipeOf(build))
  } catch {
    return undefined
  }
}

/** Another one may create it at the same time. */
async function createUnlessThere(
  { recipe, nodes, namespace }: ImageToPrepare,
  name: string,
  { kube, signal }: PrepareOptions,
): Promise<void> {
  try {
    const body = { spec: { ...specOf(recipe), nodes } }
    await kube.create(nixBuilds, { namespace, name, body }, { signal })
  } catch (error) {
    if (!isConflict(error)) throw error
  }
}

/** Undefined if the API server ends the watch, as it does from time to time. */
async function follow(
  { namespace, name }: ObjectName,
  generation: number,
  { kube, onProgress, signal }: PrepareOptions,
): Promise<string | undefined> {
  const selection = { namespace, fieldSelector: `metadata.name=${name}` }
  for await (const event of kube.watch(nixBuilds, { ...selection, signal })) {
    if (event.type === 'BOOKMARK') continue
    if (event.type === 'DELETED') throw failed(`the NixBuild ${name} has been deleted`)
    const build = nixBuilds.parse(event.object)
    onProgress(describe(build))
    const result = (build.status.observedGeneration ?? 0) < generation ? undefined : resultOf(build)
    if (result !== undefined) return result
  }
  return undefined
}

function describe({ metadata, status }: NixBuild): Preparation {
  const { selected, missing, building, buildNode, progress } = status
  const [node = buildNode] = building?.nodes ?? []
  const isAtWork = status.status === 'Building' || status.status === 'Importing'
  const own = isAtWork && node === buildNode && progress !== undefined ? `: ${progress}` : ''
  const others = building !== undefined && building.count > 1 ? ` and ${building.count - 1} more` : ''
  const atWork = building !== undefined && node !== undefined ? `${node}${own}${others}` : undefined
  return {
    nixBuild: metadata.name,
    selected: selected?.count,
    ready: (selected?.count ?? 0) - (missing?.count ?? 0),
    text: atWork ?? waitingText(status),
  }
}

/** Why nothing happens; empty if there is nothing to say. */
function waitingText({ status, conditions }: NixBuild['status']): string {
  if (status === undefined) return 'waiting for the controller'
  return status === 'Pending' ? (conditions.find(({ type }) => type === 'Complete')?.message ?? '') : ''
}

/** The image id; undefined while nodes may still get it. */
function resultOf({ spec, status }: NixBuild): string | undefined {
  const { conditions, selected, missing } = status
  const message = (type: string) => conditions.find(each => each.type === type)?.message
  if (status.status === 'Failed') throw failed(message('Success') ?? 'the build failed')
  if (status.status === undefined) return undefined
  if (selected === undefined) throw failed(`no node for ${spec.system} with a shim has the labels of --nodes`)
  if (missing !== undefined) {
    if (haveAllFailed(status)) throw failed(message('Success') ?? 'the build failed')
    return undefined
  }
  return status.status === 'Succeeded' ? status.imageDigest : undefined
}

/** Whether all nodes without the image have failed. More than a few are only counted. */
function haveAllFailed({ missing, failed }: NixBuild['status']): boolean {
  if (missing === undefined || failed === undefined || failed.count < missing.count) return false
  return missing.nodes.length < missing.count || missing.nodes.every(node => failed.nodes.includes(node))
}

function failed(message: string): RetryableError {
  return new RetryableError('PullFailed', message)
}
