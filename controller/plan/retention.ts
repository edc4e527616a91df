import type { Creator } from '../../kube/resources/nixbuild.ts'
import { soonest } from './soonest.ts'

export interface FinishedBuild {
  readonly name: string
  readonly createdBy: Creator
  readonly finishedAt: number
  /** A living pod uses the image. */
  readonly used: boolean
}

export interface RetentionLimits {
  /** Number of builds per creator and namespace to keep, besides those in use. The latest are kept. */
  readonly keepFinished: number
  readonly keepFinishedForMs: number
}

export interface RetentionPlan {
  /** Names, per creator in order of age, oldest first. */
  readonly remove: readonly string[]
  /** When the next build will be too old. */
  readonly recheckAt: number | undefined
}

/**
 * Chooses the finished builds of one namespace to remove. Of builds that finished at the same time, the first in
 * `builds` is kept. Each creator's builds are counted separately, so that one with many builds does not displace the
 * others'.
 */
export function planRetention(builds: readonly FinishedBuild[], limits: RetentionLimits, now: number): RetentionPlan {
  const groups = Map.groupBy(builds, ({ createdBy }) => createdBy)
  const plans = Array.from(groups.values(), group => planGroup(group, limits, now))
  return {
    remove: plans.flatMap(({ remove }) => remove),
    recheckAt: soonest(...plans.map(({ recheckAt }) => recheckAt)),
  }
}

function planGroup(
  builds: readonly FinishedBuild[],
  { keepFinished, keepFinishedForMs }: RetentionLimits,
  now: number,
): RetentionPlan {
  const unused = builds.filter(({ used }) => !used).toSorted((a, b) => b.finishedAt - a.finishedAt)
  const expired = unused.filter(
    ({ finishedAt }, newerCount) => newerCount >= keepFinished || finishedAt + keepFinishedForMs <= now,
  )
  // The latest come first, so the expired ones are the last.
  const oldestKept = unused[unused.length - expired.length - 1]
  return {
    remove: expired.map(({ name }) => name).reverse(),
    recheckAt: oldestKept && oldestKept.finishedAt + keepFinishedForMs,
  }
}
