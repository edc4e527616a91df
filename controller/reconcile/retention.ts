export interface FinishedBuild {
  readonly name: string
  readonly finishedAt: number
  /** A living pod uses the image. */
  readonly used: boolean
}

export interface RetentionLimits {
  /** How many of a namespace are kept beyond those that are used; the latest. */
  readonly keepFinished: number
  readonly keepFinishedForMs: number
}

export interface RetentionPlan {
  /** Names, the oldest first. */
  readonly remove: readonly string[]
  /** When the next will be too old. */
  readonly recheckAt: number | undefined
}

/** Which of the finished builds of one namespace are to be removed. */
export function planRetention(
  builds: readonly FinishedBuild[],
  { keepFinished, keepFinishedForMs }: RetentionLimits,
  now: number,
): RetentionPlan {
  const unused = builds
    .filter(({ used }) => !used)
    .toSorted((a, b) => b.finishedAt - a.finishedAt || a.name.localeCompare(b.name))
  const expired = unused.filter(
    ({ finishedAt }, newer) => newer >= keepFinished || finishedAt + keepFinishedForMs <= now,
  )
  const oldestKept = unused[unused.length - expired.length - 1]
  return {
    remove: expired.map(({ name }) => name).reverse(),
    recheckAt: oldestKept && oldestKept.finishedAt + keepFinishedForMs,
  }
}
