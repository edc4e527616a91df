import { objectKey } from '../../kube/mirror.ts'
import { type BuildView, isFinished } from '../kinds/build.ts'
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
}

/** Groups of the index by progress: one for each namespace, and one for all that goes on. */
const UNFINISHED = ''

export function createBuilds({ mirrored, allMirrored, onLost }: BuildsPlan): Builds {
  const recent = createRecent<BuildView>(onLost)
  const byRecipe = createGroupIndex()
  const byEnd = createGroupIndex()

  const get = (key: string) => recent.get(key) ?? mirrored(key)
  const read = (keys: Iterable<string>) => [...keys].flatMap(key => get(key) ?? [])

  function index(key: string, build: BuildView | undefined): void {
    const isOfRecipe = build && 'key' in build.recipe && !build.forged
    byRecipe.put(key, isOfRecipe ? wantId(build.namespace, build.recipe.key) : undefined)
    byEnd.put(key, build && (isFinished(build) ? build.namespace : UNFINISHED))
  }

  return {
    get,
    wrote(build) {
      const key = objectKey(build)
      recent.put(key, build)
      index(key, build)
    },
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
