import type { Logger } from 'pino'
import { MANAGED_BY_LABEL, SHIM } from '../../../kube/resources/names.ts'
import { isCreatedForPods, type NixBuild } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { unlessAborted } from '../../../lib/async/bounded-wait.ts'
import { FinalError, messageOf, RetryableError, ShimError, toShimError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { recipeKey } from '../../../recipes/recipe.ts'
import { readableReference } from '../../../recipes/reference.ts'
import type { ClusterRecipe, FindClusterRecipe, IsOutdated } from '../../pull/contract.ts'
import type { KnownImages } from './known-images.ts'

export interface ClusterLookupOptions {
  /** Lists the NixBuilds of one image in one namespace. */
  readonly nixBuildsOf: (query: {
    namespace: string
    /** Normalized reference. */
    image: string
    signal: AbortSignal
  }) => Promise<readonly NixBuild[]>
  /** Whether the namespace may have NixBuilds made by hand. By default, every namespace may. */
  readonly mayHave?: (namespace: string) => boolean
  readonly known: KnownImages
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
  /** Throws ClusterAway, and what `chooseRecipe` throws. */
  readonly find: FindClusterRecipe
  readonly isOutdated: IsOutdated
}

const PAUSE_MS = 10_000
/** Namespaces whose NixBuilds are compared with one image. */
const MAX_NAMESPACES = 10

/**
 * Looks recipes up in the cluster, for a bounded time. If a look-up fails, the pull continues as if there were no
 * NixBuild, unless the last look-up found one: a registry could have a stranger's image of that name.
 */
export function createClusterLookup(options: ClusterLookupOptions): ClusterLookup {
  const { nixBuildsOf, mayHave = () => true, known, system, timeoutMs, now = Date.now, logger } = options
  const { pauseMs = PAUSE_MS } = options
  const states = new Map<string, NamespaceState>()
  const stateOf = (namespace: string): NamespaceState => {
    const state = states.get(namespace) ?? { pausedUntil: 0, shared: new AbortController() }
    states.set(namespace, state)
    return state
  }

  /** Undefined if there is no answer. */
  async function ask(namespace: string, image: string): Promise<readonly NixBuild[] | undefined> {
    const state = stateOf(namespace)
    if (now() < state.pausedUntil) return undefined
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
      return undefined
    } finally {
      clearTimeout(limit)
    }
  }

  /** Undefined if there is no answer. */
  async function lookUp(namespace: string, image: string): Promise<{ readonly found?: ClusterRecipe } | undefined> {
    const nixBuilds = mayHave(namespace) ? await ask(namespace, image) : []
    if (nixBuilds === undefined) return undefined
    const found = chooseRecipe(nixBuilds, system)
    await known.record(namespace, image, found !== undefined)
    return found ? { found } : {}
  }

  return {
    async find({ image, namespace, signal }) {
      const reference = signal.aborted ? undefined : readableReference(image)
      if (reference === undefined) return undefined
      const answer = await lookUp(namespace, reference)
      if (answer === undefined && (await known.has(namespace, reference))) throw noAnswer(namespace, reference)
      return answer?.found
    },
    async isOutdated(image, recipe) {
      const namespaces = (await known.namespacesOf(image)).slice(0, MAX_NAMESPACES)
      const differs = async (namespace: string) => {
        // The pull that follows reports the error.
        const answer = await lookUp(namespace, image).catch(() => 'broken' as const)
        if (answer === 'broken') return true
        return answer?.found !== undefined && recipeKey(answer.found.recipe) !== recipe
      }
      return (await Promise.all(namespaces.map(differs))).includes(true)
    },
  }
}

function noAnswer(namespace: string, image: string): RetryableError {
  return new RetryableError(
    'ClusterAway',
    `the API server does not say whether ${quote(image)} still has a NixBuild in namespace ${quote(namespace)}: the image is not pulled from a registry, and the next pull asks again`,
  )
}

/** State is kept for each namespace, because its own NixBuilds may be what makes the response slow. */
interface NamespaceState {
  pausedUntil: number
  /** Aborts all look-ups of the namespace that wait at the moment. */
  shared: AbortController
}

/**
 * Chooses a recipe from a namespace's NixBuilds of one image. NixBuilds for this node's system come first, then those
 * made by hand, then the newest. Throws RecipeInvalid if all are malformed, and RecipeConflict if two made by hand
 * differ. NixBuilds made by shims are ignored: no node may choose what others build.
 */
export function chooseRecipe(nixBuilds: readonly NixBuild[], system: string): ClusterRecipe | undefined {
  const read = nixBuilds.filter(isTrusted).map(readOne)
  const good = read.filter(found => 'recipe' in found)
  const [bad] = read.filter(found => 'error' in found)
  if (good.length === 0 && bad) throw invalid(bad.nixBuild, bad.error)
  const ours = good.filter(({ recipe }) => recipe.system === system)
  const ranked = (ours.length > 0 ? ours : good).sort(byRank)
  const [best, second] = ranked
  if (best && second && !second.createdForPods && recipeKey(best.recipe) !== recipeKey(second.recipe))
    throw new FinalError(
      'RecipeConflict',
      `the NixBuilds ${quote(best.nixBuild)} and ${quote(second.nixBuild)} of the pod's namespace have different recipes for one image, ${best.recipe.image}: delete one of them`,
    )
  return best && { recipe: best.recipe, nixBuild: best.nixBuild }
}

/** Admission makes shims set that label. Pods with annotations do not need these NixBuilds. */
function isTrusted({ metadata }: NixBuild): boolean {
  return metadata.labels[MANAGED_BY_LABEL] !== SHIM
}

interface Candidate extends ClusterRecipe {
  readonly createdForPods: boolean
  /** RFC 3339. */
  readonly created: string
}

function readOne(nixBuild: NixBuild): Candidate | { readonly nixBuild: string; readonly error: unknown } {
  const { name, creationTimestamp } = nixBuild.metadata
  try {
    const createdForPods = isCreatedForPods(nixBuild)
    return { nixBuild: name, recipe: recipeOf(nixBuild), createdForPods, created: creationTimestamp }
  } catch (error) {
    return { nixBuild: name, error }
  }
}

function byRank(one: Candidate, other: Candidate): number {
  return (
    Number(one.createdForPods) - Number(other.createdForPods) ||
    other.created.localeCompare(one.created) ||
    one.nixBuild.localeCompare(other.nixBuild)
  )
}

function invalid(nixBuild: string, cause: unknown): FinalError {
  const message = `the NixBuild ${quote(nixBuild)} of the pod's namespace is invalid: ${messageOf(toShimError(cause))}`
  return new FinalError('RecipeInvalid', message, { cause })
}
