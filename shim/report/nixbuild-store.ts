import type { Kube } from '../../kube/contract.ts'
import { MANAGED_BY_LABEL, nixBuildName, SHIM, shimFieldManager } from '../../kube/names.ts'
import { type NixBuild, nixBuilds } from '../../kube/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../kube/nixbuild-recipe.ts'
import { spellingsOf } from '../../kube/spellings.ts'
import { type FlakeRecipe, recipeKey } from '../build/recipe.ts'
import { FinalError, ShimError } from '../errors.ts'
import { quote } from '../quote.ts'
import type { OwnStatus } from './own-status.ts'
import { leftovers, type StatusChange } from './status.ts'

export interface NixBuildQuery {
  readonly namespace: string
  readonly recipe: FlakeRecipe
  /** When it is known. */
  readonly name?: string | undefined
}

/** NixBuilds, as a shim reads and writes them. Throws as `Kube` does. */
export interface NixBuildStore {
  /** The NixBuild of the recipe, whatever its name. */
  find(query: NixBuildQuery): Promise<NixBuild | undefined>
  get(namespace: string, name: string): Promise<NixBuild | undefined>
  /** Or takes what another has made just now. Throws ClusterRefused when the name belongs to another recipe. */
  create(query: NixBuildQuery): Promise<NixBuild>
  /** When somebody has changed it since, only a node's own entry is written; else throws ClusterConflict. undefined when it is gone. */
  change(live: NixBuild, change: StatusChange): Promise<NixBuild | undefined>
  /** Every NixBuild whose build is this node's. */
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
    // That a node has the image is true whatever others write, and all nodes may say so at once.
    const applied = await patch(live, status, 'apply', status.status !== undefined)
    const left = applied && leftovers(applied, status)
    return left ? patch(applied, left, 'merge') : applied
  }

  const get = async (namespace: string, name: string) => (await kube()).get(nixBuilds, { namespace, name })
  return {
    get,
    async find({ namespace, recipe, name }) {
      const named = await get(namespace, name ?? nixBuildName(recipe))
      if (named && isOf(named, recipe)) return named
      let found: NixBuild | undefined
      await listImage(await kube(), { namespace, image: recipe.image }, item => {
        if (isOf(item, recipe)) found ??= item
      })
      return found
    },
    async create({ namespace, recipe }) {
      const made = nixBuildOf(recipe, { namespace, managedBy: SHIM })
      try {
        return await (await kube()).create(nixBuilds, made)
      } catch (cause) {
        const taken = isConflict(cause) ? await get(namespace, made.name) : undefined
        if (!taken) throw cause
        if (isOf(taken, recipe)) return taken
        const says = `the NixBuild ${quote(made.name)} of namespace ${quote(namespace)} has another recipe than ${recipe.image}`
        throw new FinalError('ClusterRefused', `${says}, which needs that name`, { cause })
      }
    },
    change: (live, { kind, status }) => (kind === 'apply' ? apply(live, status) : patch(live, status, 'merge')),
    async claimed() {
      const found: NixBuild[] = []
      await (await kube()).list(nixBuilds, { fieldSelector: `status.buildNode=${node}` }, item => found.push(item))
      return found
    },
  }
}

interface ImageQuery {
  readonly namespace: string
  /** Normalised reference. */
  readonly image: string
  readonly labelSelector?: string
  readonly signal?: AbortSignal
}

/** Far more than the retention of those that nobody uses leaves. */
const MAX_OF_IMAGE = 500

/**
 * The NixBuilds of a namespace whose image that is, however they spell it, for reading their recipes. Those that shims have made
 * are not read at all: a node that was taken over may make any number of them. Throws RecipeConflict for too many.
 */
export async function withImage(kube: Pick<Kube, 'list'>, query: ImageQuery): Promise<NixBuild[]> {
  const found: NixBuild[] = []
  await listImage(kube, { ...query, labelSelector: `${MANAGED_BY_LABEL}!=${SHIM}` }, item => {
    if (found.length === MAX_OF_IMAGE) throw tooMany(query)
    // Whoever may make NixBuilds may put as much as an object can have into the rest.
    found.push({ ...item, metadata: { ...item.metadata, annotations: {} }, status: EMPTY })
  })
  return found
}

const EMPTY = { conditions: [], nodes: [], attempts: [] }

function tooMany({ namespace, image }: ImageQuery): FinalError {
  const what = `namespace ${quote(namespace)} has more than ${MAX_OF_IMAGE} NixBuilds of the image ${quote(image)}`
  return new FinalError('RecipeConflict', `${what}: delete those that are of no use any more`)
}

async function listImage(
  kube: Pick<Kube, 'list'>,
  { namespace, image, labelSelector, signal }: ImageQuery,
  onItem: (item: NixBuild) => void,
): Promise<void> {
  const selection = { namespace, ...(labelSelector !== undefined && { labelSelector }) }
  const list = (spelling: string) =>
    kube.list(nixBuilds, { ...selection, fieldSelector: `spec.imageTag=${spelling}` }, onItem, { signal })
  await Promise.all(spellingsOf(image).map(list))
}

function isOf(nixBuild: NixBuild, recipe: FlakeRecipe): boolean {
  try {
    return recipeKey(recipeOf(nixBuild)) === recipeKey(recipe)
  } catch {
    return false
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ShimError && error.code === 'ClusterConflict'
}
