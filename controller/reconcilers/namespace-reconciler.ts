import type { Kube } from '../../kube/client/contract.ts'
import { compareVersions } from '../../kube/resources/metadata.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { planRetention, type RetentionLimits } from '../plan/retention.ts'
import { soonest } from '../plan/soonest.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { recipeId } from '../state/request-index.ts'
import type { NixBuildView } from '../views/nixbuild.ts'
import { createImagesInUse } from './images-in-use.ts'
import type { Reconciler } from './pod-reconciler.ts'

/** When to check again whether unwatched pods still use a NixBuild, in milliseconds. */
const UNWATCHED_USE_MS = 600_000

/** A node may create any number of NixBuilds, and each must not cause a list of all pods. */
const SHIM_UNUSED_MS = 10_000

/**
 * Limit per image for NixBuilds of shims that unwatched pods use. There may be several, as rules change and nodes
 * differ.
 */
const MAX_PER_IMAGE = 8

/** After this many deletions other namespaces take their turn. */
const MAX_DELETIONS = 100

export interface NamespaceReconcilerOptions {
  readonly state: Pick<ClusterState, 'pods' | 'builds'>
  readonly kube: Pick<Kube, 'list' | 'delete'>
  readonly limits: RetentionLimits
}

/** Removes finished NixBuilds of a namespace that are too many or too old. */
export function createNamespaceReconciler({ state, kube, limits }: NamespaceReconcilerOptions): Reconciler {
  const inUse = createImagesInUse({ kube, usedCacheMs: UNWATCHED_USE_MS, unusedCacheMs: 0 })
  const inUseRecently = createImagesInUse({ kube, usedCacheMs: UNWATCHED_USE_MS, unusedCacheMs: SHIM_UNUSED_MS })

  return async namespace => {
    const latestFirst = state.builds.finishedIn(namespace).sort((a, b) => compareVersions(b, a))
    const builds = new Map(latestFirst.map(build => [build.name, build]))
    const now = Date.now()
    const finished = Array.from(builds.values(), build => ({
      name: build.name,
      createdBy: build.createdBy,
      finishedAt: Math.min(build.writtenAt ?? build.createdAt, now),
      used: build.deleting || isRequested(build),
    }))
    const { remove, recheckAt } = planRetention(finished, limits, now)
    const expired = remove.flatMap(name => builds.get(name) ?? [])
    const inUseNow = await findInUse(namespace, expired)
    let deleted = 0
    for (const build of expired) {
      const { name, uid, resourceVersion } = build
      if (inUseNow.has(build)) continue
      if (deleted === MAX_DELETIONS) return now
      await kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
      deleted += 1
    }
    return soonest(recheckAt, inUseNow.size > 0 ? now + UNWATCHED_USE_MS : undefined)
  }

  /**
   * Finds builds that pods use which started long ago and have no annotations: these are not watched. The controller's
   * own builds are for annotations, so they need no list.
   */
  async function findInUse(namespace: string, expired: readonly NixBuildView[]): Promise<ReadonlySet<NixBuildView>> {
    const asked = expired.flatMap(build => imageOf(build) ?? [])
    if (asked.length === 0) return new Set()
    const ask = expired.some(({ createdBy }) => createdBy === 'hand') ? inUse : inUseRecently
    const images = await ask(namespace, asked)
    const used = expired.filter(build => images.has(imageOf(build) ?? ''))
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
