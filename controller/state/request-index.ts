import { namespaceOf } from '../../kube/mirror.ts'
import { type NamedRecipes, type PodImageRequest, type PodRequests, podRequests } from '../plan/pod-requests.ts'
import { recipeId } from '../views/nixbuild.ts'
import type { PodView } from '../views/pod.ts'

/** The requests of pods, by pod and by recipe. */
export interface RequestIndex {
  /**
   * Reads a pod again; undefined if it is gone. Returns the `recipeId`s whose requesting or waiting pods have changed.
   */
  update(podKey: string, pod: PodView | undefined, reading: Reading): string[]
  requestsOf(podKey: string): PodRequests
  /** By the key of the pod. */
  podsRequesting(id: string): ReadonlyMap<string, PodImageRequest>
}

interface Reading {
  /** System of the pod's node. */
  readonly system: string | undefined
  readonly namedRecipes: NamedRecipes
}

const NOTHING: PodRequests = { requests: [], problems: [] }
const NO_PODS: ReadonlyMap<string, PodImageRequest> = new Map()

export function createRequestIndex(): RequestIndex {
  const byPod = new Map<string, PodRequests>()
  const byRecipe = new Map<string, Map<string, PodImageRequest>>()

  function update(podKey: string, pod: PodView | undefined, { system, namedRecipes }: Reading): string[] {
    const namespace = namespaceOf(podKey)
    const before = byPod.get(podKey) ?? NOTHING
    const after = pod ? shareRecipes(namespace, podRequests(pod, system, namedRecipes)) : NOTHING
    if (after === NOTHING) byPod.delete(podKey)
    else byPod.set(podKey, after)
    const old = new Map(before.requests.map(request => [recipeId(namespace, request.key), request]))
    const changed: string[] = []
    for (const request of after.requests) {
      const id = recipeId(namespace, request.key)
      if (old.get(id)?.started !== request.started) changed.push(id)
      old.delete(id)
      put(id, podKey, request)
    }
    for (const id of old.keys()) drop(id, podKey)
    return [...changed, ...old.keys()]
  }

  /** Saves memory: thousands of pods may have the same recipe. */
  function shareRecipes(namespace: string, { requests, problems }: PodRequests): PodRequests {
    if (requests.length + problems.length === 0) return NOTHING
    const shared = requests.map(request =>
      share(request, byRecipe.get(recipeId(namespace, request.key))?.values().next().value),
    )
    return { requests: shared, problems }
  }

  function put(id: string, podKey: string, request: PodImageRequest): void {
    const pods = byRecipe.get(id)
    if (pods) pods.set(podKey, request)
    else byRecipe.set(id, new Map([[podKey, request]]))
  }

  function drop(id: string, podKey: string): void {
    const pods = byRecipe.get(id)
    pods?.delete(podKey)
    if (pods?.size === 0) byRecipe.delete(id)
  }

  return {
    update,
    requestsOf: podKey => byPod.get(podKey) ?? NOTHING,
    podsRequesting: id => byRecipe.get(id) ?? NO_PODS,
  }
}

function share(request: PodImageRequest, other: PodImageRequest | undefined): PodImageRequest {
  if (request.named) return other?.named ? { ...request, key: other.key, recipe: other.recipe } : request
  return other?.named === false ? { ...request, key: other.key, recipe: other.recipe } : request
}
