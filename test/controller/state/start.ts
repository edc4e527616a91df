import { createBuilds } from '../../../controller/state/builds.ts'
import { createPods, type KeptPod } from '../../../controller/state/pods.ts'
import { type NixBuildView, type RecipeView, recipeId } from '../../../controller/views/nixbuild.ts'
import { someBuild } from '../views.ts'

export const KNOWN = new Map([['node-1', 'x86_64-linux']])
export const idOf = (build: NixBuildView) => recipeId('team', 'key' in build.recipe ? build.recipe.key : '')
export const APP = idOf(someBuild())

/** Pods whose mirror the test fills. */
export function startPods(systems: Map<string, string>, recipes = new Map<string, RecipeView[]>(), now = Date.now) {
  const mirror = new Map<string, KeptPod>()
  const due: string[] = []
  const pods = createPods({
    mirrored: key => mirror.get(key),
    allMirrored: () => mirror.entries(),
    keepLess: put,
    systemOf: node => systems.get(node),
    recipesOf: id => recipes.get(id) ?? [],
    onPod: key => void due.push(`pod ${key}`),
    onRequest: id => void due.push(`request ${id.slice(0, id.indexOf('/'))}`),
    now,
  })
  function put(key: string, pod: KeptPod | undefined): void {
    if (pod) mirror.set(key, pod)
    else mirror.delete(key)
    pods.changed(key)
  }
  const set = (key: string, pod: KeptPod | undefined) => {
    due.length = 0
    put(key, pod)
    return [...due]
  }
  return { pods, set, due }
}

/** NixBuilds whose mirror the test fills. */
export function startBuilds() {
  const mirror = new Map<string, NixBuildView>()
  const images: string[] = []
  const builds = createBuilds({
    mirrored: key => mirror.get(key),
    allMirrored: () => mirror.values(),
    onUnconfirmedWrite: () => {},
    onImage: id => void images.push(id),
    onNamespace: () => {},
    isSynced: () => true,
    onNode: () => {},
  })
  const set = (key: string, build: NixBuildView | undefined) => {
    if (build) mirror.set(key, build)
    else mirror.delete(key)
    return builds.changed(key)
  }
  return { builds, set, images }
}
