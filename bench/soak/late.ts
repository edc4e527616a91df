/** Times in milliseconds since 1970. The API server keeps whole seconds. */
export interface Wait {
  readonly pod: string
  readonly recipe: string
  /** As the kubelet names it. */
  readonly imageId: string
  readonly createdAt: number
  readonly runningAt: number
}

export interface Build {
  readonly recipe: string
  readonly imageDigest: string
  readonly startedAt: number
  readonly completedAt: number
}

const SPARE_MS = 15_000
/** After a call to containerd has failed, the kubelet waits for 10 to 15 s before it tries again, with or without a shim. */
const KUBELET_RETRY_MS = 15_000

export interface LatePod {
  readonly wait: Wait
  readonly waitedMs: number
  readonly buildMs: number
}

/**
 * The pods that waited longer than the builds that they waited for and 15 s. `retried`: pods that also waited for the kubelet's retry
 * of a call that failed while containerd was away.
 */
export function latePods(
  waits: readonly Wait[],
  builds: readonly Build[],
  retried: ReadonlySet<string> = new Set(),
): LatePod[] {
  const byRecipe = Map.groupBy(builds, ({ recipe }) => recipe)
  return waits.flatMap(wait => {
    const waitedMs = wait.runningAt - wait.createdAt
    const buildMs = buildOf(wait, byRecipe.get(wait.recipe) ?? [])
    const retryMs = retried.has(wait.pod) ? KUBELET_RETRY_MS : 0
    return waitedMs <= buildMs + SPARE_MS + retryMs ? [] : [{ wait, waitedMs, buildMs }]
  })
}

/** The longest build that took place while the pod waited, from the time when it began to wait. */
function buildOf({ createdAt, runningAt }: Wait, builds: readonly Build[]): number {
  const parts = builds.map(({ startedAt, completedAt }) => {
    return Math.min(completedAt, runningAt) - Math.max(startedAt, createdAt)
  })
  return Math.max(0, ...parts)
}

/** The pods whose image is not what a build of their recipe has made. */
export function wrongImages(waits: readonly Wait[], builds: readonly Build[]): Wait[] {
  const byRecipe = Map.groupBy(builds, ({ recipe }) => recipe)
  return waits.filter(({ recipe, imageId }) => {
    const made = byRecipe.get(recipe) ?? []
    return !made.some(({ imageDigest }) => imageDigest !== '' && imageId.includes(imageDigest))
  })
}
