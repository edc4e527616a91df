import { nixBuildNames } from '../../../kube/resources/names.ts'
import type { NixBuild } from '../../../kube/resources/nixbuild.ts'
import { recipeOf } from '../../../kube/resources/nixbuild-recipe.ts'
import { RetryableError } from '../../../lib/errors.ts'
import { quote } from '../../../lib/text/quote.ts'
import { parseLockOf } from '../../../recipes/flake-url.ts'
import { type FlakeRecipe, recipeKey } from '../../../recipes/recipe.ts'
import { readableReference } from '../../../recipes/reference.ts'
import type { ClusterRecipe, FindClusterRecipe, FindLock, IsOutdated } from '../../pull/contract.ts'
import { type AskOptions, createAsk } from './ask.ts'
import { chooseRecipe } from './choose-recipe.ts'
import type { KnownImages } from './known-images.ts'

export interface ClusterLookupOptions extends AskOptions {
  /** Lists the NixBuilds of one image in one namespace. */
  readonly nixBuildsOf: (query: {
    namespace: string
    /** Normalized reference. */
    image: string
    signal: AbortSignal
  }) => Promise<readonly NixBuild[]>
  readonly nixBuildNamed: (query: {
    namespace: string
    name: string
    signal: AbortSignal
  }) => Promise<NixBuild | undefined>
  /** Whether the namespace may have NixBuilds made by hand. By default, every namespace may. */
  readonly mayHave?: (namespace: string) => boolean
  /** Whether the policy allows the recipe: only such a recipe makes an image outdated. */
  readonly mayBuild: (namespace: string, recipe: FlakeRecipe) => boolean
  readonly known: KnownImages
  /** Nix system of this node. */
  readonly system: string
}

export interface ClusterLookup {
  /** Throws ClusterAway, and what `chooseRecipe` throws. */
  readonly find: FindClusterRecipe
  readonly isOutdated: IsOutdated
  readonly findLock: FindLock
}

/** Namespaces whose NixBuilds are compared with one image. */
const MAX_NAMESPACES = 10

/**
 * Looks recipes up in the cluster, for a bounded time. If a look-up fails, the pull continues as if there were no
 * NixBuild, unless the last look-up found one: a registry could have a stranger's image of that name.
 */
export function createClusterLookup(options: ClusterLookupOptions): ClusterLookup {
  const { nixBuildsOf, nixBuildNamed, mayHave = () => true, mayBuild, known, system } = options
  const ask = createAsk(options)

  /** Undefined if there is no answer. */
  async function lookUp(namespace: string, image: string): Promise<{ readonly found?: ClusterRecipe } | undefined> {
    const nixBuilds = mayHave(namespace)
      ? await ask(namespace, signal => nixBuildsOf({ namespace, image, signal }))
      : []
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
        // Images are shared by all namespaces: one whose pulls can only fail takes no image from the others.
        const answer = await lookUp(namespace, image).catch(() => undefined)
        const found = answer?.found?.recipe
        return found !== undefined && recipeKey(found) !== recipe && mayBuild(namespace, found)
      }
      return (await Promise.all(namespaces.map(differs))).includes(true)
    },
    async findLock({ recipe, namespace, nixBuild }) {
      const names = nixBuild === undefined ? nixBuildNames(recipe) : [nixBuild]
      return ask(namespace, async signal => {
        for (const name of names) {
          const found = await nixBuildNamed({ namespace, name, signal })
          if (found === undefined) return undefined
          if (isOf(found, recipe)) return parseLockOf(recipe.flake, found.status.lockedFlakeUrl ?? '')
        }
        return undefined
      })
    },
  }
}

/** A user may have given the name to a NixBuild of another recipe. */
function isOf(nixBuild: NixBuild, recipe: FlakeRecipe): boolean {
  try {
    return recipeKey(recipeOf(nixBuild)) === recipeKey(recipe)
  } catch {
    return false
  }
}

function noAnswer(namespace: string, image: string): RetryableError {
  return new RetryableError(
    'ClusterAway',
    `the API server does not say whether ${quote(image)} still has a NixBuild in namespace ${quote(namespace)}: the image is not pulled from a registry, and the next pull asks again`,
  )
}
