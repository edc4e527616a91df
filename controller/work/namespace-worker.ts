import type { Kube } from '../../kube/contract.ts'
import { nixBuilds } from '../../kube/nixbuild.ts'
import type { BuildView } from '../kinds/build.ts'
import { planRetention, type RetentionLimits } from '../reconcile/retention.ts'
import type { ClusterState } from '../state/cluster-state.ts'
import { compareVersions } from '../state/versions.ts'
import { wantId } from '../state/wants-index.ts'
import { createImagesInUse } from './images-in-use.ts'
import type { Worker } from './pod-worker.ts'

/** When a NixBuild that only pods without annotations use is looked at again, in milliseconds: they are not watched. */
const UNWATCHED_USE_MS = 600_000

/** Then others have their turn. */
const MOST_AT_ONCE = 100

export interface NamespaceWorkerPlan {
  readonly state: Pick<ClusterState, 'pods' | 'builds'>
  readonly kube: Pick<Kube, 'list' | 'delete'>
  readonly limits: RetentionLimits
}

/** Removes the finished NixBuilds of a namespace that are too many or too old. */
export function createNamespaceWorker({ state, kube, limits }: NamespaceWorkerPlan): Worker {
  const inUse = createImagesInUse({ kube, believeMs: UNWATCHED_USE_MS, believeAbsentMs: 0 })

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
    // One that was made by hand is the recipe of pods that have no annotations, too.
    const asked = expired.flatMap(({ managed, recipe }) => (!managed && 'image' in recipe ? recipe.image : []))
    const images = asked.length === 0 ? new Set() : await inUse(namespace, asked)
    let spared = false
    let deleted = 0
    for (const { name, uid, resourceVersion, managed, recipe } of expired) {
      if (!managed && 'image' in recipe && images.has(recipe.image)) {
        spared = true
        continue
      }
      if (deleted === MOST_AT_ONCE) return now
      await kube.delete(nixBuilds, { namespace, name, uid, resourceVersion })
      deleted += 1
    }
    return spared ? Math.min(recheckAt ?? Number.POSITIVE_INFINITY, now + UNWATCHED_USE_MS) : recheckAt
  }

  function isWanted({ namespace, recipe }: BuildView): boolean {
    return 'key' in recipe && state.pods.podsWanting(wantId(namespace, recipe.key)).size > 0
  }
}
