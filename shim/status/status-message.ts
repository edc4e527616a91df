import { formatRecipe, isFlakeRecipe, type Recipe } from '../../recipes/recipe.ts'
import type { ImageRequest } from '../pull/contract.ts'
import { toWire } from '../pull/progress.ts'
import type { PullLog, PullResult, PullState } from '../pull/pull-log.ts'
import type { StatusMessage } from '../wire/status.ts'
import type { DiskUse } from './disk-use.ts'
import type { KeptImage } from './kept-images.ts'

/** Facts that do not change while the shim runs. */
export interface ShimFacts {
  readonly version: string
  /** In milliseconds since 1970. */
  readonly startedAt: number
  /** Path of containerd's socket. */
  readonly containerd: string
  /** Number of rules in the policy. */
  readonly rules: number
  readonly maxBuilds: number
  /** Folder of the runs' logs. */
  readonly logs: string
}

/** The same state always gives the same message, whenever it is made. */
export function statusMessage(shim: ShimFacts, pullLog: PullLog, diskUse: DiskUse): StatusMessage {
  const all = pullLog.runs()
  const { images, problem, ...disk } = diskUse
  return {
    shim: { ...shim, containerdProblem: problem ?? '' },
    runs: all.filter(run => placeOf(run) === undefined).map(toRun),
    queue: all
      .filter(run => placeOf(run) !== undefined)
      .toSorted((one, other) => (placeOf(one) ?? 0) - (placeOf(other) ?? 0))
      .map(toRun),
    results: pullLog.results().map(toResult),
    images: images.map(toImage),
    disk: { ...disk, store: { ...disk.store, problem: disk.store.problem ?? '' } },
  }
}

/** Place in the queue; undefined for a run that is not queued. */
function placeOf({ progress }: PullState): number | undefined {
  return progress?.phase === 'queued' ? progress.ahead : undefined
}

const MAX_WAITERS = 50

function toRun({ recipe, runId = '', startedAt, progress, waiting }: PullState): StatusMessage['runs'][number] {
  const known = progress ? toWire(progress) : { phase: 'starting' }
  return {
    ...names(recipe),
    runId,
    startedAt,
    progress: { phase: '', done: 0, expected: 0, text: '', ...known },
    waiting: waiting.length,
    waiters: waiting.slice(0, MAX_WAITERS).map(toWaiter),
  }
}

function toWaiter({ namespace, pod, nixBuild = '' }: ImageRequest): StatusMessage['runs'][number]['waiters'][number] {
  return { namespace, pod: pod?.name ?? '', nixBuild }
}

function toResult({ recipe, endedAt, tookMs = 0, runId = '', conclusion, times }: PullResult) {
  const done = conclusion.kind === 'done' ? conclusion : undefined
  const failed = conclusion.kind === 'failed' ? conclusion : undefined
  return {
    ...names(recipe),
    endedAt,
    tookMs,
    runId,
    imageId: done?.imageId ?? '',
    storePath: done?.storePath ?? '',
    errorCode: failed?.code ?? '',
    error: failed?.message ?? '',
    times,
  }
}

function toImage({ image = '', imageId = '', storePath = '', size = 0, updatedAt }: KeptImage) {
  return { image, imageId, storePath, size, updatedAt }
}

function names(recipe: Recipe): { image: string; recipe: string } {
  const { image } = recipe
  return {
    image,
    recipe: isFlakeRecipe(recipe) ? formatRecipe(recipe) : recipe.storePath,
  }
}
