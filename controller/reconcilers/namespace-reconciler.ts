import type { Kube } from '../../kube/client/contract.ts'
import { compareVersions } from '../../kube/resources/metadata.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { planRetention, type RetentionLimits } from '../plan/retention.ts'
import { soonest } from '../plan/soonest.ts'
import { imageId } from '../state/builds.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { type NixBuildView, recipeId } from '../views/nixbuild.ts'
import type { Reconciler } from './pod-reconciler.ts'

/** When to check again whether pods still use a NixBuild, in milliseconds. */
const PLAIN_USE_MS = 600_000

/**
 * Limit per image for NixBuilds of shims that pods without annotations use. There may be several, as rules change and nodes
 * differ.
 */
const MAX_PER_IMAGE = 8

/** After this many deletions other namespaces take their turn. */
const MAX_DELETIONS = 100

export interface NamespaceReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds'>
  readonly kube: Pick<Kube, 'delete'>
  readonly limits: RetentionLimits
}

/** Removes finished NixBuilds of a namespace that are too many or too old. One that selects nodes is for those to come, too. */
export function createNamespaceReconciler({ state, kube, limits }: NamespaceReconcilerOptions): Reconciler {
  return async namespace => {
    const latestFirst = state.builds.finishedIn(namespace).sort((a, b) => compareVersions(b, a))
    const builds = new Map(latestFirst.map(build => [build.name, build]))
    const now = Date.now()
    const finished = Array.from(builds.values(), build => ({
      name: build.name,
      createdBy: build.createdBy,
      finishedAt: Math.min(build.finishedAt ?? build.createdAt, now),
      used: build.deleting || build.nodes !== undefined || isRequested(build),
    }))
    const { remove, recheckAt } = planRetention(finished, limits, now)
    const expired = remove.flatMap(name => builds.get(name) ?? [])
    const inUseNow = findInUse(expired)
    let deleted = 0
    for (const build of expired) {
      const { name, uid, resourceVersion } = build
      if (inUseNow.has(build)) continue
      if (deleted === MAX_DELETIONS) return now
      await kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
      deleted += 1
    }
    return soonest(recheckAt, inUseNow.size > 0 ? now + PLAIN_USE_MS : undefined)
  }

  /**
   * Finds builds that pods use which have no annotations. The controller's own builds are for annotations, so they need
   * no look.
   */
  function findInUse(expired: readonly NixBuildView[]): ReadonlySet<NixBuildView> {
    const used = expired.filter(build => {
      const image = imageOf(build)
      return image !== undefined && state.pods.isImageUsed(imageId(build.namespace, image))
    })
    const ofShims = Map.groupBy(
      used.filter(({ createdBy }) => createdBy === 'shim'),
      imageOf,
    )
    const latest = [...ofShims.values()].flatMap(builds => builds.slice(-MAX_PER_IMAGE))
    return new Set([...used.filter(({ createdBy }) => createdBy === 'hand'), ...latest])
  }

  function isRequested({ namespace, recipe }: NixBuildView): boolean {
    return 'key' in recipe && state.pods.podsRequesting(recipeId(namespace, recipe.key)).size > 0
  }
}

function imageOf({ createdBy, recipe }: NixBuildView): string | undefined {
  return createdBy !== 'controller' && 'image' in recipe ? recipe.image : undefined
}
