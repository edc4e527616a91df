import type { Logger } from 'pino'
import type { NixBuild } from '../../../kube/resources/nixbuild.ts'
import { unlessAborted } from '../../../lib/async/bounded-wait.ts'
import { messageOf, ShimError } from '../../../lib/errors.ts'
import { readableReference } from '../../../recipes/reference.ts'
import { chooseRecipe, type FoundRecipe } from './cluster-recipe.ts'

export interface ClusterLookupOptions {
  /** Lists the NixBuilds of one image in one namespace. */
  readonly nixBuildsOf: (query: {
    namespace: string
    /** Normalized reference. */
    image: string
    signal: AbortSignal
  }) => Promise<readonly NixBuild[]>
  /** Nix system of this node. */
  readonly system: string
  /** Longest time that a pull waits for a look-up. */
  readonly timeoutMs: number
  /**
   * After a failure, the namespace sends no requests for this long: an unreachable API server must not delay every
   * pull.
   */
  readonly pauseMs?: number
  readonly now?: () => number
  readonly logger: Logger
}

export interface ClusterLookup {
  /** `image` is spelled as in the kubelet's request. Throws only what `chooseRecipe` throws. */
  find(query: { image: string; namespace: string; signal: AbortSignal }): Promise<FoundRecipe | undefined>
}

const PAUSE_MS = 10_000

/**
 * Looks recipes up in the cluster, for a bounded time. If a look-up fails, the pull continues as if there were no
 * NixBuild.
 */
export function createClusterLookup(options: ClusterLookupOptions): ClusterLookup {
  const { nixBuildsOf, system, timeoutMs, pauseMs = PAUSE_MS, now = Date.now, logger } = options
  const states = new Map<string, NamespaceState>()
  const stateOf = (namespace: string): NamespaceState => {
    const state = states.get(namespace) ?? { pausedUntil: 0, shared: new AbortController() }
    states.set(namespace, state)
    return state
  }

  async function ask(namespace: string, image: string): Promise<readonly NixBuild[]> {
    const state = stateOf(namespace)
    const shared = state.shared
    const limit = setTimeout(() => shared.abort(new Error('the API server does not answer in time')), timeoutMs)
    try {
      return await unlessAborted(nixBuildsOf({ namespace, image, signal: shared.signal }), shared.signal)
    } catch (err) {
      if (err instanceof ShimError && err.code === 'RecipeConflict') throw err
      if (state.shared === shared) {
        state.pausedUntil = now() + pauseMs
        state.shared = new AbortController()
        logger.warn({ namespace, err: messageOf(err), pauseMs }, 'cannot look up a recipe in the cluster')
      }
      shared.abort(err)
      return []
    } finally {
      clearTimeout(limit)
    }
  }

  return {
    async find({ image, namespace, signal }) {
      if (now() < stateOf(namespace).pausedUntil || signal.aborted) return undefined
      const reference = readableReference(image)
      if (reference === undefined) return undefined
      return chooseRecipe(await ask(namespace, reference), system)
    },
  }
}

/** State is kept for each namespace, because its own NixBuilds may be what makes the response slow. */
interface NamespaceState {
  pausedUntil: number
  /** Aborts all look-ups of the namespace that wait at the moment. */
  shared: AbortController
}
