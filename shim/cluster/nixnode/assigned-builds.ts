import type { Logger } from 'pino'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import type { AssignedBuild } from '../../../kube/resources/nixnode.ts'
import { jitter, pause } from '../../../lib/async/retry.ts'
import { messageOf, RetryableError, type ShimError, shuttingDown, toShimError } from '../../../lib/errors.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import type { ImageRequest, PullImage } from '../../pull/contract.ts'
import { isCancelled } from '../builds/reported-run.ts'

/** Builds what is assigned to this node, for as long as it is. */
export interface AssignedBuilds {
  /** Everything that is assigned from now on. */
  update(assigned: readonly AssignedBuild[]): void
}

export interface AssignedBuildsOptions {
  readonly pullImage: PullImage
  /** A build is not assigned any more: it has no further attempt. */
  readonly withdrawn: (request: ImageRequest) => void
  /** The recipe of a build cannot be read: the controller may be newer than this shim. */
  readonly unreadable: (assigned: AssignedBuild, error: ShimError) => void
  /** Pauses after temporary failures, in milliseconds. There is one attempt more than there are pauses. */
  readonly pausesMs?: readonly number[]
  /** How long after its end a build starts again if it is still assigned, in milliseconds. It doubles each time. */
  readonly againMs?: number
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Long enough for a network, a Nix daemon or containerd to come back. */
const PAUSES_MS = [10_000, 30_000, 60_000, 120_000]

/** The controller takes a build back once it knows the result. If it has ignored one, it waits for another one. */
const AGAIN_MS = 300_000
const LONGEST_AGAIN_MS = 3_600_000

/**
 * Concurrent builds of one namespace; further builds are queued. Each build costs requests, and there may be thousands.
 */
const MAX_PER_NAMESPACE = 20

interface StartedBuild {
  readonly namespace: string
  readonly controller: AbortController
  done: boolean
}

export function createAssignedBuilds(options: AssignedBuildsOptions): AssignedBuilds {
  const { signal, logger, againMs = AGAIN_MS } = options
  const started = new Map<string, StartedBuild>()
  /** How often each has ended while it was assigned. */
  const ends = new Map<string, number>()
  let wanted: ReadonlyMap<string, AssignedBuild> = new Map()

  function cancelOthers(): void {
    for (const key of ends.keys()) if (!wanted.has(key)) ends.delete(key)
    for (const [key, { controller }] of started) {
      if (wanted.has(key)) continue
      started.delete(key)
      controller.abort(new RetryableError('Cancelled', 'the build is no longer assigned to this node'))
    }
  }

  /** The order of the assignments decides which builds of a namespace come first. */
  function startNext(): void {
    const busy = countBusy(started.values())
    for (const [key, assigned] of wanted) {
      const { namespace } = assigned
      const count = busy.get(namespace) ?? 0
      if (signal.aborted || started.has(key) || count >= MAX_PER_NAMESPACE) continue
      busy.set(namespace, count + 1)
      start(key, assigned)
    }
  }

  function start(key: string, assigned: AssignedBuild): void {
    const build: StartedBuild = { namespace: assigned.namespace, controller: new AbortController(), done: false }
    started.set(key, build)
    buildAssigned(options, assigned, build.controller.signal)
      .catch(err => {
        const { namespace, name } = assigned
        logger.warn({ namespace, nixBuild: name, err: messageOf(err) }, 'an assigned build failed')
      })
      .finally(async () => {
        build.done = true
        startNext()
        await startAgain(key, build)
      })
  }

  async function startAgain(key: string, { controller }: StartedBuild): Promise<void> {
    if (controller.signal.aborted) return
    const number = ends.get(key) ?? 0
    ends.set(key, number + 1)
    await pause(Math.min(againMs * 2 ** number, LONGEST_AGAIN_MS), controller.signal)
    if (controller.signal.aborted) return
    started.delete(key)
    startNext()
  }

  signal.addEventListener('abort', () => {
    for (const { controller } of started.values()) controller.abort(shuttingDown())
  })
  return {
    update(assigned) {
      wanted = new Map(assigned.map(one => [JSON.stringify(one), one]))
      cancelOthers()
      startNext()
    },
  }
}

function countBusy(builds: Iterable<StartedBuild>): Map<string, number> {
  const busy = new Map<string, number>()
  for (const { namespace, done } of builds) if (!done) busy.set(namespace, (busy.get(namespace) ?? 0) + 1)
  return busy
}

async function buildAssigned(
  options: AssignedBuildsOptions,
  assigned: AssignedBuild,
  signal: AbortSignal,
): Promise<void> {
  const { pausesMs = PAUSES_MS, pullImage, withdrawn, logger } = options
  const { namespace, name } = assigned
  const max = pausesMs.length + 1
  const recipe = readRecipe(options, assigned)
  for (let number = 1; ; number += 1) {
    const request = { recipe, namespace, nixBuild: name, attempt: { number, max } }
    const error = await settle(pullImage(request, signal))
    if (!error) return
    if (signal.aborted) withdrawn(request)
    if (!isTemporary(error) || number === max || signal.aborted) throw error
    logger.warn({ namespace, nixBuild: name, err: error.message, number, max }, 'retrying an assigned build')
    await pause(jitter(pausesMs[number - 1] ?? 0, 0.25), signal)
    if (signal.aborted) return withdrawn(request)
  }
}

function readRecipe({ unreadable }: AssignedBuildsOptions, assigned: AssignedBuild): FlakeRecipe {
  try {
    return recipeOf({ spec: assigned.recipe })
  } catch (error) {
    unreadable(assigned, toShimError(error))
    throw error
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
