import { namespaceOf } from '../../kube/mirror.ts'
import { type NamedRecipes, type PodWants, podWants, type Want } from '../reconcile/pod-wants.ts'
import type { PodView } from '../views/pod.ts'

/** The requests of pods, by pod and by recipe. */
export interface WantsIndex {
  /**
   * Reads a pod again; undefined if it is gone. Returns the `recipeId`s whose requesting or waiting pods have changed.
   */
  update(podKey: string, pod: PodView | undefined, reading: Reading): string[]
  wantsOf(podKey: string): PodWants
  /** By the key of the pod. */
  podsWanting(id: string): ReadonlyMap<string, Want>
}

interface Reading {
  /** System of the pod's node. */
  readonly system: string | undefined
  readonly namedRecipes: NamedRecipes
}

/** Identifies a recipe of a namespace. */
export function wantId(namespace: string, recipeKey: string): string {
  return `${namespace}/${recipeKey}`
}

const NOTHING: PodWants = { wants: [], problems: [] }
const NOBODY: ReadonlyMap<string, Want> = new Map()

export function createWantsIndex(): WantsIndex {
  const byPod = new Map<string, PodWants>()
  const byRecipe = new Map<string, Map<string, Want>>()

  function update(podKey: string, pod: PodView | undefined, { system, namedRecipes }: Reading): string[] {
    const namespace = namespaceOf(podKey)
    const before = byPod.get(podKey) ?? NOTHING
    const after = pod ? shareRecipes(namespace, podWants(pod, system, namedRecipes)) : NOTHING
    if (after === NOTHING) byPod.delete(podKey)
    else byPod.set(podKey, after)
    const old = new Map(before.wants.map(want => [wantId(namespace, want.key), want]))
    const changed: string[] = []
    for (const want of after.wants) {
      const id = wantId(namespace, want.key)
      if (old.get(id)?.started !== want.started) changed.push(id)
      old.delete(id)
      put(id, podKey, want)
    }
    for (const id of old.keys()) drop(id, podKey)
    return [...changed, ...old.keys()]
  }

  /** Saves memory: thousands of pods may have the same recipe. */
  function shareRecipes(namespace: string, { wants, problems }: PodWants): PodWants {
    if (wants.length + problems.length === 0) return NOTHING
    const shared = wants.map(want => share(want, byRecipe.get(wantId(namespace, want.key))?.values().next().value))
    return { wants: shared, problems }
  }

  function put(id: string, podKey: string, want: Want): void {
    const pods = byRecipe.get(id)
    if (pods) pods.set(podKey, want)
    else byRecipe.set(id, new Map([[podKey, want]]))
  }

  function drop(id: string, podKey: string): void {
    const pods = byRecipe.get(id)
    pods?.delete(podKey)
    if (pods?.size === 0) byRecipe.delete(id)
  }

  return {
    update,
    wantsOf: podKey => byPod.get(podKey) ?? NOTHING,
    podsWanting: id => byRecipe.get(id) ?? NOBODY,
  }
}

function share(want: Want, other: Want | undefined): Want {
  if (want.named) return other?.named ? { ...want, key: other.key, recipe: other.recipe } : want
  return other?.named === false ? { ...want, key: other.key, recipe: other.recipe } : want
}
