import type { Maker } from '../../kube/resources/nixbuild.ts'

export interface FinishedBuild {
  readonly name: string
  readonly madeBy: Maker
  readonly finishedAt: number
  /** A living pod uses the image. */
  readonly used: boolean
}

export interface RetentionLimits {
  /** How many of each maker are kept in a namespace beyond those that are used; the latest. */
  readonly keepFinished: number
  readonly keepFinishedForMs: number
}

export interface RetentionPlan {
  /** Names; of one maker the oldest first. */
  readonly remove: readonly string[]
  /** When the next will be too old. */
  readonly recheckAt: number | undefined
}

/**
 * Which of the finished builds of one namespace are to be removed. `builds`: of those that finished at once, the first is kept.
 * Those of each maker are counted by themselves: whoever makes many pushes out nobody else's.
 */
export function planRetention(builds: readonly FinishedBuild[], limits: RetentionLimits, now: number): RetentionPlan {
  const groups = Map.groupBy(builds, ({ madeBy }) => madeBy)
  const plans = Array.from(groups.values(), group => planGroup(group, limits, now))
  const times = plans.flatMap(({ recheckAt }) => recheckAt ?? [])
  return {
    remove: plans.flatMap(({ remove }) => remove),
    recheckAt: times.length === 0 ? undefined : Math.min(...times),
  }
}

function planGroup(
  builds: readonly FinishedBuild[],
  { keepFinished, keepFinishedForMs }: RetentionLimits,
  now: number,
): RetentionPlan {
  const unused = builds.filter(({ used }) => !used).toSorted((a, b) => b.finishedAt - a.finishedAt)
  const expired = unused.filter(
    ({ finishedAt }, newer) => newer >= keepFinished || finishedAt + keepFinishedForMs <= now,
  )
  const oldestKept = unused[unused.length - expired.length - 1]
  return {
    remove: expired.map(({ name }) => name).reverse(),
    recheckAt: oldestKept && oldestKept.finishedAt + keepFinishedForMs,
  }
}
