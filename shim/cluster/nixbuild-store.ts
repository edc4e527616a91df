import { isConflict } from '../../kube/client/api-error.ts'
import type { Kube } from '../../kube/client/contract.ts'
import { describeTakenNames, nixBuildNames, SHIM, shimFieldManager } from '../../kube/resources/names.ts'
import { type NixBuild, nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { FinalError } from '../../lib/errors.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import { listImage, withoutUnreadFields } from './lookup/nixbuilds-of-image.ts'
import { isAtWork } from './nixbuild/claim.ts'
import type { OwnStatus } from './nixbuild/own-status.ts'
import { type StatusChange, staleFields } from './nixbuild/status.ts'

export interface NixBuildQuery {
  readonly namespace: string
  readonly recipe: FlakeRecipe
  /** If it is known. */
  readonly name?: string | undefined
}

/** Reads and writes NixBuilds. Throws like `Kube`. */
export interface NixBuildStore {
  /**
   * Finds the NixBuild of a recipe, under one of `nixBuildNames` or a name that a person chose. Throws ClusterRefused
   * if the namespace has too many NixBuilds of the image.
   */
  find(query: NixBuildQuery): Promise<NixBuild | undefined>
  get(namespace: string, name: string): Promise<NixBuild | undefined>
  /**
   * Returns the existing NixBuild if another client has just made it. Throws ClusterRefused if other recipes have all
   * possible names.
   */
  create(query: NixBuildQuery): Promise<NixBuild>
  /**
   * Returns undefined if the NixBuild is gone. Throws ClusterConflict if it has changed in between, except when only
   * this node's entry is written.
   */
  change(live: NixBuild, change: StatusChange): Promise<NixBuild | undefined>
  /** Every NixBuild that this node claims. */
  claimed(): Promise<NixBuild[]>
}

export interface StoreOptions {
  readonly kube: () => Promise<Kube>
  readonly node: string
}

export function createNixBuildStore({ kube, node }: StoreOptions): NixBuildStore {
  const fieldManager = shimFieldManager(node)

  async function patch(live: NixBuild, status: object, type: 'merge' | 'apply', isGuarded = true) {
    const { namespace, name, resourceVersion } = live.metadata
    const metadata = isGuarded ? { resourceVersion } : {}
    const object = { namespace, name, body: { metadata, status } }
    return (await kube()).patch(nixBuilds, object, { type, subresource: 'status', fieldManager })
  }

  async function apply(live: NixBuild, status: OwnStatus): Promise<NixBuild | undefined> {
    // That a node has the image is true whatever others write, and all nodes may write it concurrently.
    const applied = await patch(live, status, 'apply', status.status !== undefined)
    const left = applied && staleFields(applied, status)
    return left ? patch(applied, left, 'merge') : applied
  }

  const get = async (namespace: string, name: string) => (await kube()).get(nixBuilds, { namespace, name })

  async function byName(namespace: string, recipe: FlakeRecipe, known?: string): Promise<NixBuild | undefined> {
    const named = known === undefined ? undefined : await get(namespace, known)
    if (named && isOf(named, recipe)) return named
    for (const name of nixBuildNames(recipe)) {
      const there = await get(namespace, name)
      if (!there) return undefined
      if (isOf(there, recipe)) return there
    }
    return undefined
  }

  return {
    get,
    async find({ namespace, recipe, name }) {
      const named = await byName(namespace, recipe, name)
      if (named) return named
      let found: NixBuild | undefined
      await listImage(await kube(), { namespace, image: recipe.image }, item => {
        if (isOf(item, recipe)) found ??= item
      })
      return found
    },
    async create({ namespace, recipe }) {
      let taken: unknown
      for (const name of nixBuildNames(recipe)) {
        try {
          return await (await kube()).create(nixBuilds, nixBuildOf(recipe, { namespace, name, managedBy: SHIM }))
        } catch (cause) {
          const there = isConflict(cause) ? await get(namespace, name) : undefined
          if (!there) throw cause
          if (isOf(there, recipe)) return there
          taken = cause
        }
      }
      throw new FinalError('ClusterRefused', describeTakenNames(recipe, namespace), { cause: taken })
    },
    change: (live, { kind, status }) => (kind === 'apply' ? apply(live, status) : patch(live, status, 'merge')),
    async claimed() {
      const found: NixBuild[] = []
      await (await kube()).list(nixBuilds, { fieldSelector: `status.buildNode=${node}` }, item => {
        if (isAtWork(item, node)) found.push(withoutUnreadFields(item))
      })
      return found
    },
  }
}

function isOf(nixBuild: NixBuild, recipe: FlakeRecipe): boolean {
  try {
    return recipeKey(recipeOf(nixBuild)) === recipeKey(recipe)
  } catch {
    return false
  }
}
