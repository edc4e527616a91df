import { objectKey } from '../../kube/mirror.ts'
import { type BuildView, isFinished, type RecipeView } from '../views/nixbuild.ts'
import { createGroupIndex } from './multi-index.ts'
import { createNewestIndex } from './newest-index.ts'
import { createRecent } from './recent.ts'
import { isOlder } from './versions.ts'
import { wantId } from './wants-index.ts'

/** The NixBuilds. */
export interface Builds {
  get(key: string): BuildView | undefined
  /** As it was just written. */
  wrote(build: BuildView): void
  /** Of one recipe in one namespace, by `wantId`; no forged ones. */
  ofRecipe(id: string): BuildView[]
  /** Those that a namespace's NixBuilds give an image, by `imageId`: each once, the newest of them, and none of forged ones. */
  recipesOf(id: string): RecipeView[]
  finishedIn(namespace: string): BuildView[]
  unfinished(): BuildView[]
  /** Reads one anew that the watch told of. Returns the recipes, by `wantId`, that it was and is about. */
  changed(key: string): string[]
  all(): Iterable<BuildView>
}

export interface BuildsPlan {
  readonly mirrored: (key: string) => BuildView | undefined
  readonly allMirrored: () => Iterable<BuildView>
  /** One that was written is not there: it must be read anew. */
  readonly onLost: (key: string) => void
  /** What `recipesOf` an image gives, by `imageId`, is other than before. */
  readonly onImage: (id: string) => void
}

/** An image in a namespace, by its normalised reference. */
export function imageId(namespace: string, reference: string): string {
  return `${namespace}/${reference}`
}

/** Groups of the index by progress: one for each namespace, and one for all that goes on. */
const UNFINISHED = ''

/**
 * Of NixBuilds that shims made, and of others: each pod that names the image has all of them looked at, and a node may make any number.
 * The newest, as those are kept when NixBuilds are removed.
 */
const MAX_RECIPES = 8

export function createBuilds({ mirrored, allMirrored, onLost, onImage }: BuildsPlan): Builds {
  const recent = createRecent<BuildView>(onLost)
  const byRecipe = createGroupIndex()
  const byImage = createNewestIndex(MAX_RECIPES)
  const ofShimsByImage = createNewestIndex(MAX_RECIPES)
  const byEnd = createGroupIndex()

  const get = (key: string) => recent.get(key) ?? mirrored(key)
  const read = (keys: Iterable<string>) => [...keys].flatMap(key => get(key) ?? [])

  function index(key: string, build: BuildView | undefined): void {
    const recipe = build && !build.forged && 'key' in build.recipe ? build.recipe : undefined
    const image = recipe && build && imageId(build.namespace, recipe.image)
    const place = image === undefined || !build ? undefined : { group: image, time: build.createdAt }
    const before = new Map(
      [imageOf(key), image].flatMap(id => (id === undefined ? [] : [[id, recipeIds(id)] as const])),
    )
    byRecipe.put(key, recipe && build && wantId(build.namespace, recipe.key))
    byImage.put(key, build?.madeBy === 'shim' ? undefined : place)
    ofShimsByImage.put(key, build?.madeBy === 'shim' ? place : undefined)
    byEnd.put(key, build && (isFinished(build) ? build.namespace : UNFINISHED))
    for (const [id, ids] of before) if (!areSame(ids, recipeIds(id))) onImage(id)
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
    wrote(build) {
      const key = objectKey(build)
      recent.put(key, build)
      index(key, build)
    },
    recipesOf,
    ofRecipe: id => read(byRecipe.keysIn(id)),
    finishedIn: namespace => read(byEnd.keysIn(namespace)).filter(isFinished),
    unfinished: () => read(byEnd.keysIn(UNFINISHED)).filter(build => !isFinished(build)),
    changed(key) {
      if (!isOlder(mirrored(key), recent.get(key))) recent.forget(key)
      const before = byRecipe.groupOf(key)
      index(key, get(key))
      const after = byRecipe.groupOf(key)
      return [...new Set([before, after])].flatMap(id => id ?? [])
    },
    all: allMirrored,
  }
}

function areSame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every(each => b.has(each))
}
