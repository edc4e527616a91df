import type { Logger } from 'pino'
import type { Kube } from '../../../kube/client/contract.ts'
import { createMirror, type Mirror } from '../../../kube/mirror.ts'
import { NODE_LABEL, nodeLabelValue } from '../../../kube/resources/names.ts'
import { isFinished, type NixBuild, nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { jitter, pause } from '../../../lib/async/retry.ts'
import { messageOf, RetryableError, ShimError, shuttingDown, toShimError } from '../../../lib/errors.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import type { FlakeImageRequest, PullImage } from '../../pull/contract.ts'
import { withoutUnreadFields } from '../lookup/nixbuilds-of-image.ts'
import { isFreeFor } from '../nixbuild/claim.ts'
import { isCancelled, refusal } from '../builds/reported-run.ts'
import { statusChange } from '../nixbuild/status.ts'
import type { NixBuildStore } from '../nixbuild-store.ts'

export interface AssignedBuildsOptions {
  readonly kube: Kube
  readonly store: NixBuildStore
  readonly node: string
  readonly pullImage: PullImage<FlakeImageRequest>
  /** Resolves when the result of that build has been written to its NixBuild. */
  readonly written: (namespace: string, recipe: FlakeRecipe) => Promise<void>
  /** Pauses after temporary failures, in milliseconds. There is one attempt more than there are pauses. */
  readonly pausesMs?: readonly number[]
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Long enough for a network, a Nix daemon or containerd to come back. */
const PAUSES_MS = [10_000, 30_000, 60_000, 120_000]

/**
 * Concurrent builds of one namespace; further builds are queued. Each build costs requests, and there may be thousands.
 */
const MAX_PER_NAMESPACE = 20

interface RunningBuild {
  readonly controller: AbortController
  /** The build is finished and its result is written. The mirror may be behind. */
  done: boolean
}

/** Builds the NixBuilds that are assigned to this node, for as long as they are. */
export function runAssignedBuilds(options: AssignedBuildsOptions): Mirror<NixBuild> {
  const { kube, node, signal, logger } = options
  const running = new Map<string, RunningBuild>()
  const busy = new Map<string, number>()
  /** Keys, by namespace. */
  const waiting = new Map<string, Set<string>>()

  function reconcile(key: string): void {
    const assigned = mirror.get(key)
    const build = running.get(key)
    const isWanted = assigned !== undefined && !isFinished(assigned.status.status)
    if (build && !isWanted) {
      running.delete(key)
      build.controller.abort(new RetryableError('Cancelled', `the NixBuild ${key} is no longer assigned to this node`))
    }
    if (!build && assigned && isWanted && isFreeFor(assigned, node)) start(key, assigned)
    if (build?.done && assigned && assigned.status.buildNode === undefined) start(key, assigned)
  }

  /** Another node may have claimed the NixBuild for one of its pods. */
  function isStillFree(key: string): boolean {
    const assigned = mirror.get(key)
    return assigned !== undefined && isFreeFor(assigned, node)
  }

  function start(key: string, assigned: NixBuild): void {
    const { namespace = '' } = assigned.metadata
    const count = busy.get(namespace) ?? 0
    if (count >= MAX_PER_NAMESPACE) {
      waiting.set(namespace, (waiting.get(namespace) ?? new Set()).add(key))
      return
    }
    const build: RunningBuild = { controller: new AbortController(), done: false }
    running.set(key, build)
    busy.set(namespace, count + 1)
    buildAssigned(options, assigned, { signal: build.controller.signal, isStillFree: () => isStillFree(key) })
      .catch(err => logger.warn({ nixBuild: key, err: messageOf(err) }, 'an assigned build failed'))
      .finally(() => {
        build.done = true
        finish(namespace)
      })
  }

  function finish(namespace: string): void {
    const count = (busy.get(namespace) ?? 0) - 1
    if (count > 0) busy.set(namespace, count)
    else busy.delete(namespace)
    const keys = waiting.get(namespace) ?? new Set()
    for (const key of keys) {
      if ((busy.get(namespace) ?? 0) >= MAX_PER_NAMESPACE) return
      keys.delete(key)
      reconcile(key)
    }
    waiting.delete(namespace)
  }

  const selection = { labelSelector: `${NODE_LABEL}=${nodeLabelValue(node)}` }
  // A change may come before the mirror exists.
  const onChange = (key: string) => queueMicrotask(() => reconcile(key))
  const mirror = createMirror({
    kube,
    kind: nixBuilds,
    selection,
    project: withoutUnreadFields,
    onChange,
    signal,
    logger,
  })
  signal.addEventListener('abort', () => {
    for (const { controller } of running.values()) controller.abort(shuttingDown())
  })
  return mirror
}

interface BuildContext {
  readonly signal: AbortSignal
  /** Whether it is assigned to this node and no other node has claimed it. */
  readonly isStillFree: () => boolean
}

async function buildAssigned(
  options: AssignedBuildsOptions,
  assigned: NixBuild,
  { signal, isStillFree }: BuildContext,
): Promise<void> {
  const { pausesMs = PAUSES_MS, pullImage, written, logger } = options
  const { namespace = '', name } = assigned.metadata
  const recipe = readRecipe(assigned)
  if (recipe instanceof ShimError) return refuse(options, assigned, recipe)
  const max = pausesMs.length + 1
  for (let number = 1; ; number += 1) {
    const error = await settle(pullImage({ recipe, namespace, nixBuild: name, attempt: { number, max } }, signal))
    if (!signal.aborted) await written(namespace, recipe)
    if (!error) return
    if (!isTemporary(error) || number === max || signal.aborted) throw error
    logger.warn({ namespace, nixBuild: name, err: error.message, number, max }, 'retrying an assigned build')
    await pause(jitter(pausesMs[number - 1] ?? 0, 0.25), signal)
    if (signal.aborted || !isStillFree()) return
  }
}

function isTemporary(error: ShimError): boolean {
  return error.retryable && !isCancelled(error)
}

async function settle(work: Promise<unknown>): Promise<ShimError | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return toShimError(error)
  }
}

function readRecipe(assigned: NixBuild): FlakeRecipe | ShimError {
  try {
    return recipeOf(assigned)
  } catch (error) {
    return toShimError(error)
  }
}

async function refuse({ store, node }: AssignedBuildsOptions, live: NixBuild, error: ShimError): Promise<void> {
  const now = Date.now()
  const change = statusChange({ live, run: refusal(error, now), node, now, isWanted: true })
  if (change) await store.change(live, change)
}
