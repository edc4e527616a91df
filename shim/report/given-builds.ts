import type { Logger } from 'pino'
import type { Kube } from '../../kube/contract.ts'
import { createMirror, type Mirror } from '../../kube/mirror.ts'
import { NODE_LABEL, nodeLabelValue } from '../../kube/names.ts'
import { isFinished, type NixBuild, nixBuilds } from '../../kube/nixbuild.ts'
import { recipeOf } from '../../kube/nixbuild-recipe.ts'
import type { Recipe } from '../build/recipe.ts'
import { messageOf, RetryableError, toShimError } from '../errors.ts'
import type { MakeImage } from '../pull/contract.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { refusal } from './run.ts'
import { statusChange } from './status.ts'

export interface GivenBuildsOptions {
  readonly kube: Kube
  readonly store: NixBuildStore
  readonly node: string
  readonly makeImage: MakeImage
  /** Resolves once the end of that build has been told. */
  readonly told: (namespace: string, recipe: Recipe) => Promise<void>
  readonly signal: AbortSignal
  readonly logger: Logger
}

interface Work {
  readonly controller: AbortController
  /** Over and told; the mirror may be behind. */
  done: boolean
}

/** Builds the NixBuilds that are given to this node, for as long as they are. */
export function buildGiven(options: GivenBuildsOptions): Mirror<NixBuild> {
  const { kube, node, signal, logger } = options
  const works = new Map<string, Work>()

  function look(key: string): void {
    const given = mirror.get(key)
    const work = works.get(key)
    const isWanted = given !== undefined && !isFinished(given)
    if (work && !isWanted) {
      works.delete(key)
      work.controller.abort(new RetryableError('Cancelled', `the NixBuild ${key} is not this node's to build any more`))
    }
    if (!work && given && isWanted && isFree(given, node)) start(key, given)
    if (work?.done && given && given.status.buildNode === undefined) start(key, given)
  }

  function start(key: string, given: NixBuild): void {
    const work: Work = { controller: new AbortController(), done: false }
    works.set(key, work)
    build(options, given, work.controller.signal)
      .catch(err => logger.warn({ nixBuild: key, err: messageOf(err) }, 'a given build failed'))
      .finally(() => {
        work.done = true
      })
  }

  const selection = { labelSelector: `${NODE_LABEL}=${nodeLabelValue(node)}` }
  // A change may come before the mirror is there.
  const onChange = (key: string) => queueMicrotask(() => look(key))
  const mirror = createMirror({ kube, kind: nixBuilds, selection, project: item => item, onChange, signal, logger })
  signal.addEventListener('abort', () => {
    for (const { controller } of works.values())
      controller.abort(new RetryableError('ShuttingDown', 'the shim is shutting down'))
  })
  return mirror
}

/** Another node may have taken it up for a pod. */
function isFree({ status }: NixBuild, node: string): boolean {
  return status.buildNode === undefined || status.buildNode === node
}

async function build(options: GivenBuildsOptions, given: NixBuild, signal: AbortSignal): Promise<void> {
  const { makeImage, told } = options
  const { namespace = '', name } = given.metadata
  const recipe = readRecipe(given)
  if (recipe instanceof Error) return refuse(options, given, recipe)
  try {
    await makeImage({ recipe, namespace, nixBuild: name }, signal)
  } finally {
    if (!signal.aborted) await told(namespace, recipe)
  }
}

function readRecipe(given: NixBuild): Recipe | Error {
  try {
    return recipeOf(given)
  } catch (error) {
    return toShimError(error)
  }
}

async function refuse({ store, node }: GivenBuildsOptions, live: NixBuild, error: Error): Promise<void> {
  const now = Date.now()
  const change = statusChange({ live, run: refusal(toShimError(error), now), node, now, isWanted: true })
  if (change) await store.change(live, change)
}
