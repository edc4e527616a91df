import type { Logger } from 'pino'
import type { NixBuild } from '../../kube/nixbuild.ts'
import { messageOf } from '../errors.ts'
import { normaliseReference } from '../reference.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { chooseRecipe, type FoundRecipe } from './cluster-recipe.ts'

export interface ClusterLookupOptions {
  /** The NixBuilds of one namespace for one image. */
  readonly nixBuildsOf: (query: {
    namespace: string
    /** Normalised reference. */
    image: string
    signal: AbortSignal
  }) => Promise<readonly NixBuild[]>
  /** Nix system of this node. */
  readonly system: string
  /** Longest time that a pull waits for it. */
  readonly timeoutMs: number
  /** For so long after a failure nobody is asked: an API server that is away must not delay every pull. */
  readonly pauseMs?: number
  readonly now?: () => number
  readonly logger: Logger
}

export interface ClusterLookup {
  /** As the kubelet asks for it. Throws what `chooseRecipe` throws, and nothing else. */
  find(query: { image: string; namespace: string; signal: AbortSignal }): Promise<FoundRecipe | undefined>
}

const PAUSE_MS = 10_000

/** Looks recipes up in the cluster, for a bounded time; a pull goes on as if there were none when that fails. */
export function createClusterLookup(options: ClusterLookupOptions): ClusterLookup {
  const { nixBuildsOf, system, timeoutMs, pauseMs = PAUSE_MS, now = Date.now, logger } = options
  let pausedUntil = 0
  /** Those who wait together are sent on together. */
  let together = new AbortController()

  async function ask(namespace: string, image: string): Promise<readonly NixBuild[]> {
    const shared = together
    const limit = setTimeout(() => shared.abort(new Error('the API server does not answer in time')), timeoutMs)
    try {
      return await unlessAborted(nixBuildsOf({ namespace, image, signal: shared.signal }), shared.signal)
    } catch (err) {
      if (together === shared) {
        pausedUntil = now() + pauseMs
        together = new AbortController()
        logger.warn({ err: messageOf(err), pauseMs }, 'looking a recipe up in the cluster failed')
      }
      shared.abort(err)
      return []
    } finally {
      clearTimeout(limit)
    }
  }

  return {
    async find({ image, namespace, signal }) {
      if (now() < pausedUntil || signal.aborted) return undefined
      const reference = readable(image)
      if (reference === undefined) return undefined
      return chooseRecipe(await ask(namespace, reference), system)
    },
  }
}

/** What is no reference is containerd's to refuse. */
function readable(image: string): string | undefined {
  try {
    return normaliseReference(image)
  } catch {
    return undefined
  }
}
