import type { Logger } from 'pino'
import { callerLeft } from '../../lib/async/bounded-wait.ts'
import { toShimError } from '../../lib/errors.ts'
import { copyStart } from '../../lib/text/text.ts'
import type { FlakeRecipe, Recipe } from '../../recipes/recipe.ts'
import type { BuildHelpers, WithJob } from './build-helpers.ts'
import type { BuildCall } from './contract.ts'
import type { BuildJob, Evaluated } from './helper/messages.ts'
import { createOwnClaim } from './own-claim.ts'
import { createPush } from './push-queue.ts'
import type { CopySource, PathClaim, PathSharing, SharedPath } from './sharing.ts'
import type { BuildResult } from './store/results.ts'

/** The part of the section `share` of the config that is about copying. */
export interface ShareOptions {
  /** Longest time that copying from one binary cache may take. */
  readonly copyTimeoutMs?: number
  /** File with the public key that this node signs with: the Nix daemon accepts its own signatures. */
  readonly publicKeyFile?: string | undefined
  /** URL of the store that gets what this node builds. */
  readonly push?: string | undefined
  /** Ends what is being pushed. */
  readonly stopping?: AbortSignal
}

export interface SharedBuildOptions {
  readonly sharing: PathSharing
  readonly share: ShareOptions
  readonly fetchOnly: boolean
  readonly helpers: BuildHelpers
  /** Runs a task that has a place for builds. */
  readonly inTurn: InTurn
  readonly inTurnToCopy: InTurn
  readonly withJob: WithJob
  /** Also finds the content of an unlocked flake. */
  readonly withContent: WithJob
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

const COPY_TIMEOUT_MS = 600_000

type InTurn = <Result>(call: BuildCall, run: () => Promise<Result>) => Promise<Result>

/** Of one run. A cluster has no more nodes that hold a path in common. */
const MAX_FAILED_COPIES = 16

/**
 * Builds a recipe once for all nodes: evaluates it, and then builds its output, or waits for another node and copies. A run that waits
 * has neither a place nor a process. A copy that fails never fails the run.
 */
export function createSharedBuild(options: SharedBuildOptions) {
  const { sharing, share, fetchOnly, helpers, inTurn, inTurnToCopy, withJob, withContent, logger } = options
  const { copyTimeoutMs: timeoutMs = COPY_TIMEOUT_MS, publicKeyFile: ownKeyFile, push: url, stopping } = share
  const push = url === undefined ? undefined : createPush({ url, helpers, withJob, stopping, logger })

  const evaluate = async (recipe: FlakeRecipe, call: BuildCall) => {
    const claim = createOwnClaim(push, call)
    const ask = (evaluated: Evaluated) => claim.take(sharing.claim(pathOf(recipe, evaluated), call.signal))
    return claim.endAfter(() =>
      inTurn(call, () => withContent(recipe, call, job => helpers.makeShared({ ...job, fetchOnly }, claim.call, ask))),
    )
  }

  const build = async (recipe: FlakeRecipe, evaluated: Evaluated, call: BuildCall, given?: PathClaim) => {
    const claim = createOwnClaim(push, call)
    if (given) await claim.take(Promise.resolve(given))
    return claim.endAfter(async () => {
      const build = (job: BuildJob) => helpers.make({ ...job, ...again(evaluated), fetchOnly }, claim.call)
      return { result: await inTurn(claim.call, () => withJob(recipe, call, build)) }
    })
  }

  const copy = (recipe: FlakeRecipe, evaluated: Evaluated, call: BuildCall, { url, node }: CopySource) => {
    const order = {
      url,
      timeoutMs,
      ...(node !== undefined && { node }),
      ...(ownKeyFile !== undefined && { ownKeyFile }),
    }
    return inTurnToCopy(call, () =>
      withJob(recipe, call, job => helpers.make({ ...job, ...again(evaluated), copy: order }, call)),
    )
  }

  const tryCopy = async (recipe: FlakeRecipe, evaluated: Evaluated, call: BuildCall, from: CopySource) => {
    try {
      const result = await copy(recipe, evaluated, call, from)
      // The pull does not wait until other nodes know.
      void from.end(true)
      return { result }
    } catch (thrown) {
      await from.end(false)
      if (call.signal.aborted) throw thrown
      const error = toShimError(thrown)
      const { runId } = evaluated
      logger.info({ runId, url: from.url, node: from.node, code: error.code }, 'copying a store path failed')
      call.onProgress({ phase: 'log', line: copyStart(error.message, MAX_LINE_LENGTH) })
      return { error }
    }
  }

  return async (recipe: FlakeRecipe, call: BuildCall): Promise<BuildResult> => {
    const first = await evaluate(recipe, call)
    if (first.kind === 'done') return first.result
    const { evaluated } = first
    const { signal, onProgress } = call
    const failed = new Set<string>()
    for (;;) {
      if (signal.aborted) throw callerLeft(signal)
      const source = await sharing.find(pathOf(recipe, evaluated), { signal, onProgress, failed })
      if (source.kind === 'build') return (await build(recipe, evaluated, call, source.claim)).result
      const { result, error } = await tryCopy(recipe, evaluated, call, source.from)
      if (result) return result
      failed.add(source.from.url)
      if (failed.size < MAX_FAILED_COPIES) continue
      if (fetchOnly) throw error
      return (await build(recipe, evaluated, call)).result
    }
  }
}

/** Continues the run in another helper, without a second evaluation. */
function again(evaluated: Evaluated): Pick<BuildJob, 'evaluated' | 'content'> {
  const { flake } = evaluated
  return { evaluated, ...(flake.locked && { content: flake }) }
}

function pathOf({ image }: Recipe, { storePath, derivation: { drvPath } }: Evaluated): SharedPath {
  return { storePath, drvPath, image }
}

/** Of a line of progress. */
const MAX_LINE_LENGTH = 4096
