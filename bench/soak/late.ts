/** Times in milliseconds since 1970. The API server keeps whole seconds. */
export interface Wait {
  readonly pod: string
  readonly recipe: string
  readonly createdAt: number
  readonly runningAt: number
}

export interface Build {
  readonly recipe: string
  readonly startedAt: number
  readonly completedAt: number
}

const SPARE_MS = 15_000

export interface LatePod {
  readonly wait: Wait
  readonly waitedMs: number
  readonly buildMs: number
}

/** The pods that waited longer than the builds that they waited for and 15 s. */
export function latePods(waits: readonly Wait[], builds: readonly Build[]): LatePod[] {
  const byRecipe = Map.groupBy(builds, ({ recipe }) => recipe)
  return waits.flatMap(wait => {
    const waitedMs = wait.runningAt - wait.createdAt
    const buildMs = buildOf(wait, byRecipe.get(wait.recipe) ?? [])
    return waitedMs <= buildMs + SPARE_MS ? [] : [{ wait, waitedMs, buildMs }]
  })
}

/** The longest build that took place while the pod waited, from the time when it began to wait. */
function buildOf({ createdAt, runningAt }: Wait, builds: readonly Build[]): number {
  const parts = builds.map(({ startedAt, completedAt }) => {
    return Math.min(completedAt, runningAt) - Math.max(startedAt, createdAt)
  })
  return Math.max(0, ...parts)
}
