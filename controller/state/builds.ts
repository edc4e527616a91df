import { objectKey } from '../../kube/mirror.ts'
import { type BuildView, isFinished, type RecipeView } from '../kinds/build.ts'
import { createRecent } from '../recent.ts'
import { createGroupIndex } from './group-index.ts'
import { isOlder } from './versions.ts'
import { wantId } from './wants-index.ts'

/** The NixBuilds. */
export interface Builds {
  get(key: string): BuildView | undefined
  /** As it was just written. */
  wrote(build: BuildView): void
  /** Of one recipe in one namespace, by `wantId`; no forged ones. */
  ofRecipe(id: string): BuildView[]
  /** Those that a namespace's NixBuilds give an image, by `imageId`: each once, the first of them, and none of forged ones. */
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
  /** The recipes of an image, by `imageId`, are others than before. */
  readonly onImage: (id: string) => void
}

/** An image in a namespace, by its normalised reference. */
export function imageId(namespace: string, reference: string): string {
  return `${namespace}/${reference}`
}

/** Groups of the index by progress: one for each namespace, and one for all that goes on. */
const UNFINISHED = ''

/** Of NixBuilds that shims made, and of others: each pod that names the image has all of them looked at, and a node may make any number. */
const MAX_RECIPES = 8

export function createBuilds({ mirrored, allMirrored, onLost, onImage }: BuildsPlan): Builds {
  const recent = createRecent<BuildView>(onLost)
  const byRecipe = createGroupIndex()
  const byImage = createGroupIndex()
  const ofShimsByImage = createGroupIndex()
  const byEnd = createGroupIndex()

  const get = (key: string) => recent.get(key) ?? mirrored(key)
  const read = (keys: Iterable<string>) => [...keys].flatMap(key => get(key) ?? [])

  function index(key: string, build: BuildView | undefined): void {
    const before = { recipe: byRecipe.groupOf(key), image: imageOf(key) }
    const recipe = build && !build.forged && 'key' in build.recipe ? build.recipe : undefined
    const image = recipe && build && imageId(build.namespace, recipe.image)
    byRecipe.put(key, recipe && build && wantId(build.namespace, recipe.key))
    byImage.put(key, build?.madeBy === 'shim' ? undefined : image)
    ofShimsByImage.put(key, build?.madeBy === 'shim' ? image : undefined)
    byEnd.put(key, build && (isFinished(build) ? build.namespace : UNFINISHED))
    if (before.recipe === byRecipe.groupOf(key)) return
    for (const id of new Set([before.image, image])) if (id !== undefined) onImage(id)
  }

  const imageOf = (key: string) => byImage.groupOf(key) ?? ofShimsByImage.groupOf(key)

  function recipesOf(id: string): RecipeView[] {
    const keys = [byImage, ofShimsByImage].flatMap(index => [...take(index.keysIn(id), MAX_RECIPES)])
    const recipes = read(keys).flatMap(({ recipe }) => ('key' in recipe ? [recipe] : []))
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

function* take<T>(values: Iterable<T>, count: number): Generator<T> {
  if (count <= 0) return
  let taken = 0
  for (const value of values) {
    yield value
    taken += 1
    if (taken === count) return
  }
}
