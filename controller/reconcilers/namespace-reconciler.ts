import type { Kube } from '../../kube/client/contract.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { planRetention, type RetentionLimits } from '../reconcile/retention.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { compareVersions } from '../state/versions.ts'
import { wantId } from '../state/wants-index.ts'
import type { BuildView } from '../views/nixbuild.ts'
import { createImagesInUse } from './images-in-use.ts'
import type { Reconciler } from './pod-reconciler.ts'

/** When a NixBuild is looked at again that only pods use which are not watched, in milliseconds. */
const UNWATCHED_USE_MS = 600_000

/** A node may make any number of NixBuilds, and each is not a list of all pods. */
const SHIM_ABSENCE_MS = 10_000

/** Of those that shims made for one image, so many are kept for pods that name it: a rule's recipe may have changed, and nodes differ. */
const MOST_OF_SHIMS = 8

/** Then others have their turn. */
const MOST_AT_ONCE = 100

export interface NamespaceReconcilerPlan {
  readonly state: Pick<ClusterState, 'pods' | 'builds'>
  readonly kube: Pick<Kube, 'list' | 'delete'>
  readonly limits: RetentionLimits
}

/** Removes the finished NixBuilds of a namespace that are too many or too old. */
export function createNamespaceReconciler({ state, kube, limits }: NamespaceReconcilerPlan): Reconciler {
  const inUse = createImagesInUse({ kube, believeMs: UNWATCHED_USE_MS, believeAbsentMs: 0 })
  const inUseOfLate = createImagesInUse({ kube, believeMs: UNWATCHED_USE_MS, believeAbsentMs: SHIM_ABSENCE_MS })

  return async namespace => {
    const latestFirst = state.builds.finishedIn(namespace).sort((a, b) => compareVersions(b, a))
    const builds = new Map(latestFirst.map(build => [build.name, build]))
    const now = Date.now()
    const finished = Array.from(builds.values(), build => ({
      name: build.name,
      madeBy: build.madeBy,
      finishedAt: Math.min(build.writtenAt ?? build.createdAt, now),
      used: build.deleting || isWanted(build),
    }))
    const { remove, recheckAt } = planRetention(finished, limits, now)
    const expired = remove.flatMap(name => builds.get(name) ?? [])
    const inUseNow = await thoseInUse(namespace, expired)
    let deleted = 0
    for (const build of expired) {
      const { name, uid, resourceVersion } = build
      if (inUseNow.has(build)) continue
      if (deleted === MOST_AT_ONCE) return now
      await kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
      deleted += 1
    }
    return inUseNow.size > 0 ? Math.min(recheckAt ?? Number.POSITIVE_INFINITY, now + UNWATCHED_USE_MS) : recheckAt
  }

  /** By pods without annotations that started long ago: these are not watched. The controller makes its own for annotations. */
  async function thoseInUse(namespace: string, expired: readonly BuildView[]): Promise<ReadonlySet<BuildView>> {
    const asked = expired.flatMap(build => imageOf(build) ?? [])
    if (asked.length === 0) return new Set()
    const ask = expired.some(({ madeBy }) => madeBy === 'hand') ? inUse : inUseOfLate
    const images = await ask(namespace, asked)
    const used = expired.filter(build => images.has(imageOf(build) ?? ''))
    const ofShims = Map.groupBy(
      used.filter(({ madeBy }) => madeBy === 'shim'),
      imageOf,
    )
    const latest = [...ofShims.values()].flatMap(builds => builds.slice(-MOST_OF_SHIMS))
    return new Set([...used.filter(({ madeBy }) => madeBy === 'hand'), ...latest])
  }

  function isWanted({ namespace, recipe }: BuildView): boolean {
    return 'key' in recipe && state.pods.podsWanting(wantId(namespace, recipe.key)).size > 0
  }
}

function imageOf({ madeBy, recipe }: BuildView): string | undefined {
  return madeBy !== 'controller' && 'image' in recipe ? recipe.image : undefined
}
