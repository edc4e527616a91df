import { namespaceOf, objectKey } from '../../kube/mirror.ts'
import { isFinished } from '../../kube/resources/nixbuild.ts'
import { waitingReason } from '../plan/plan-assignment.ts'
import { type NixBuildView, type RecipeView, recipeId } from '../views/nixbuild.ts'
import { createGroupIndex, createNewestIndex } from './indices.ts'
import { createNamespacesByHand } from './namespaces-by-hand.ts'
import { createRecentWrites } from './recent-writes.ts'

/** The NixBuilds of the cluster. */
export interface Builds {
  get(key: string): NixBuildView | undefined
  /** Records a NixBuild as it was just written. */
  recordWrite(build: NixBuildView): void
  ofRecipe(id: string): NixBuildView[]
  /** The distinct recipes of the newest NixBuilds of an `imageId`. */
  recipesOf(id: string): RecipeView[]
  finishedIn(namespace: string): NixBuildView[]
  /** The unfinished NixBuilds made by hand, and those for pods whose status says that no node can build them. */
  mayNeedNode(): NixBuildView[]
  /** Keys of the NixBuilds that select nodes. */
  preparing(): Iterable<string>
  /** The unfinished NixBuilds whose status names the node. */
  unfinishedOn(node: string): NixBuildView[]
  /** Namespaces that have or had NixBuilds made by hand. */
  readonly namespacesByHand: ReadonlySet<string>
  /** Reads a NixBuild again after a watch event. Returns the `recipeId`s whose pods the change concerns. */
  changed(key: string): string[]
  all(): Iterable<NixBuildView>
}

export interface BuildsOptions {
  readonly mirrored: (key: string) => NixBuildView | undefined
  readonly allMirrored: () => Iterable<NixBuildView>
  /** Called if the watch did not confirm a write, so that the NixBuild must be read again. */
  readonly onUnconfirmedWrite: (key: string) => void
  /** Called with the `imageId` when the result of `recipesOf` has changed. */
  readonly onImage: (id: string) => void
  /** Called when the result of `unfinishedOn` has changed for the node. */
  readonly onNode: (node: string) => void
  /** Called when `namespacesByHand` has another namespace. */
  readonly onNamespace: () => void
  /** Whether all NixBuilds have been read. */
  readonly isSynced: () => boolean
  readonly now?: () => number
}

/** Identifies an image of a namespace, by its normalized reference. */
export function imageId(namespace: string, reference: string): string {
  return `${namespace}/${reference}`
}

/** Group of `mayNeedNode`. Finished NixBuilds are grouped by namespace. */
const MAY_NEED_NODE = ''

/**
 * Applies to NixBuilds of shims and to all others separately. Each pod that names the image visits them all, and a node
 * may create any number. Retention keeps the newest, too.
 */
const MAX_RECIPES = 8

export function createBuilds(options: BuildsOptions): Builds {
  const { mirrored, allMirrored, onUnconfirmedWrite, onImage, onNode, onNamespace, isSynced, now = Date.now } = options
  const recent = createRecentWrites<NixBuildView>(onUnconfirmedWrite)
  const byRecipe = createGroupIndex()
  const byImage = createNewestIndex(MAX_RECIPES)
  const ofShimsByImage = createNewestIndex(MAX_RECIPES)
  const byEnd = createGroupIndex()
  const byBuildNode = createGroupIndex()
  const withNodes = new Set<string>()
  const byHand = createNamespacesByHand({ isSynced, onChange: onNamespace, now })
  /** As the pods have last seen them. */
  const seen = new Map<string, NixBuildView>()

  const get = (key: string) => recent.get(key) ?? mirrored(key)
  const read = (keys: Iterable<string>) => [...keys].flatMap(key => get(key) ?? [])

  function index(key: string, build: NixBuildView | undefined): void {
    const recipe = build && 'key' in build.recipe ? build.recipe : undefined
    const image = recipe && build && imageId(build.namespace, recipe.image)
    const place = image === undefined || !build ? undefined : { group: image, time: build.createdAt }
    const before = new Map(
      [imageOf(key), image].flatMap(id => (id === undefined ? [] : [[id, recipeIds(id)] as const])),
    )
    byRecipe.put(key, recipe && build && recipeId(build.namespace, recipe.key))
    byImage.put(key, build?.createdBy === 'shim' ? undefined : place)
    ofShimsByImage.put(key, build?.createdBy === 'shim' ? place : undefined)
    byEnd.put(key, build && endOf(build))
    placeOnNode(key, build && !isFinished(build.phase) ? build.buildNode : undefined)
    if (build?.nodes) withNodes.add(key)
    else withNodes.delete(key)
    if (build?.createdBy === 'hand') byHand.add(namespaceOf(key))
    for (const [id, ids] of before) if (!areSame(ids, recipeIds(id))) onImage(id)
  }

  function placeOnNode(key: string, node: string | undefined): void {
    const before = byBuildNode.groupOf(key)
    byBuildNode.put(key, node)
    if (before !== node) for (const each of [before, node]) if (each !== undefined) onNode(each)
  }

  const imageOf = (key: string) => byImage.groupOf(key) ?? ofShimsByImage.groupOf(key)
  const keysOf = (image: string) => [...byImage.newestIn(image), ...ofShimsByImage.newestIn(image)]
  const recipeIds = (image: string) => new Set(keysOf(image).map(byRecipe.groupOf))

  function recipesOf(id: string): RecipeView[] {
    const recipes = read(keysOf(id)).flatMap(({ recipe }) => ('key' in recipe ? [recipe] : []))
    return [...new Map(recipes.map(recipe => [recipe.key, recipe])).values()]
  }

  return {
    get,
    recordWrite(build) {
      const key = objectKey(build)
      recent.put(key, build)
      index(key, build)
    },
    recipesOf,
    ofRecipe: id => read(byRecipe.keysIn(id)),
    finishedIn: namespace => read(byEnd.keysIn(namespace)).filter(({ phase }) => isFinished(phase)),
    mayNeedNode: () => read(byEnd.keysIn(MAY_NEED_NODE)).filter(build => !isFinished(build.phase)),
    preparing: () => withNodes,
    unfinishedOn: node => read(byBuildNode.keysIn(node)),
    namespacesByHand: byHand.names,
    changed(key) {
      recent.observe(key, mirrored(key))
      const before = byRecipe.groupOf(key)
      const build = get(key)
      index(key, build)
      const after = byRecipe.groupOf(key)
      const old = seen.get(key)
      if (build) seen.set(key, build)
      else seen.delete(key)
      if (old && build && before === after && isSameForPods(old, build)) return []
      return [...new Set([before, after])].flatMap(id => id ?? [])
    },
    all: allMirrored,
  }
}

/** Undefined for those that the nodes of their pods build. */
function endOf(build: NixBuildView): string | undefined {
  if (isFinished(build.phase)) return build.namespace
  return build.createdBy === 'hand' || waitingReason(build) !== undefined ? MAY_NEED_NODE : undefined
}

/** Thousands of pods may have to be reconciled otherwise, whenever a number of nodes changes. */
function isSameForPods(a: NixBuildView, b: NixBuildView): boolean {
  const failureOf = ({ phase, conditions }: NixBuildView) =>
    phase === 'Failed' ? conditions.find(({ type }) => type === 'Success')?.message : ''
  return (
    a.uid === b.uid &&
    a.phase === b.phase &&
    a.buildNode === b.buildNode &&
    a.deleting === b.deleting &&
    a.finishedAt === b.finishedAt &&
    failureOf(a) === failureOf(b)
  )
}

function areSame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every(each => b.has(each))
}
