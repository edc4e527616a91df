import { type ErrorCode, isUnanswered, type ShimError } from '../../lib/errors.ts'
import { copyStart } from '../../lib/text/text.ts'
import { type Recipe, recipeKey } from '../../recipes/recipe.ts'
import type { ImageRequest, PullReporter } from './contract.ts'
import type { PullProgress } from './progress.ts'

/** The runs of this node and the latest results. Its size is small and bounded, because it stays in memory. */
export interface PullLog extends PullReporter {
  /** Runs and requests that wait for one, in the order in which they were first requested. */
  runs(): readonly PullState[]
  /** The latest progress of the recipe's run, apart from lines of a log. */
  progressOf(recipe: Recipe): PullProgress | undefined
  /** The latest results, newest first. */
  results(): readonly PullResult[]
  /** Counter that grows when images may have come or gone. */
  imageChanges(): number
  /** Calls the listener after every change, until the returned function is called. */
  onChange(listener: () => void): () => void
}

/** Times are in milliseconds since 1970. */
export interface PullState {
  readonly recipe: Recipe
  /** If there is no run yet, the time when its first request began to wait. */
  readonly startedAt: number
  /** Also names the log of the run. Undefined until nix runs. */
  readonly runId: string | undefined
  /** The latest progress, apart from lines of a log. */
  readonly progress: PullProgress | undefined
  /** Empty when every request has been withdrawn. */
  readonly waiting: readonly ImageRequest[]
}

export interface PullResult {
  readonly recipe: Recipe
  readonly endedAt: number
  /** In milliseconds; undefined without a run. */
  readonly tookMs: number | undefined
  /** Also names the log of the run. Undefined if nix did not run. */
  readonly runId: string | undefined
  readonly conclusion: Conclusion
  /** Number of consecutive remembered results of this recipe with the same conclusion. */
  readonly times: number
}

export type Conclusion =
  | { readonly kind: 'done'; readonly imageId: string; readonly storePath: string | undefined }
  /** `message`: the first line, cut at 300 characters. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

const MAX_RESULTS = 20
const MAX_MESSAGE_LENGTH = 300

interface Entry {
  readonly recipe: Recipe
  readonly waiting: Set<ImageRequest>
  startedAt: number
  running: boolean
  /** Whether a run has started since the entry was made. */
  hasRun: boolean
  runId?: string | undefined
  progress?: PullProgress | undefined
}

export function createPullLog(): PullLog {
  const entries = new Map<string, Entry>()
  const results: PullResult[] = []
  const listeners = new Set<() => void>()
  let imageChanges = 0
  const changed = () => {
    for (const listener of listeners) listener()
  }

  const entryOf = (recipe: Recipe): Entry => {
    const key = recipeKey(recipe)
    const made = { recipe, waiting: new Set<ImageRequest>(), startedAt: Date.now(), running: false, hasRun: false }
    const entry = entries.get(key) ?? made
    entries.set(key, entry)
    return entry
  }
  const forgetIdle = ({ recipe, waiting, running }: Entry) => {
    if (!running && waiting.size === 0) entries.delete(recipeKey(recipe))
  }
  const remember = (result: Omit<PullResult, 'times' | 'endedAt'>) => {
    const key = recipeKey(result.recipe)
    const last = results.findIndex(({ recipe }) => recipeKey(recipe) === key)
    const isSame = isSameConclusion(results[last]?.conclusion, result.conclusion)
    // The kubelet retries a hopeless pod indefinitely. Its results must not displace all others.
    const [before] = isSame ? results.splice(last, 1) : []
    // Without a run, this may be the remembered failure of the previous run.
    const { tookMs, runId } = result.tookMs === undefined ? (before ?? result) : result
    results.unshift({ ...result, tookMs, runId, endedAt: Date.now(), times: (before?.times ?? 0) + 1 })
    if (results.length > MAX_RESULTS) results.pop()
  }
  const rememberFailure = (recipe: Recipe, error: ShimError) =>
    remember({ recipe, tookMs: undefined, runId: undefined, conclusion: failure(error) })
  const end = ({ recipe, startedAt, runId: known }: Entry, conclusion: Conclusion, runId = known) => {
    remember({ recipe, tookMs: Date.now() - startedAt, runId, conclusion })
    imageChanges += 1
  }
  const clear = (entry: Entry) => {
    entry.running = false
    entry.runId = undefined
    entry.progress = undefined
    forgetIdle(entry)
    changed()
  }

  return {
    waiting(request) {
      const entry = entryOf(request.recipe)
      entry.waiting.add(request)
      changed()
      const leave = () => {
        entry.waiting.delete(request)
        forgetIdle(entry)
        changed()
      }
      return {
        done: leave,
        failed(error) {
          // A failed run adds the result itself.
          if (!entry.hasRun && !isUnanswered(error)) rememberFailure(request.recipe, error)
          leave()
        },
      }
    },
    refused({ recipe }, error) {
      rememberFailure(recipe, error)
      changed()
    },
    started(recipe) {
      const entry = entryOf(recipe)
      entry.running = true
      entry.hasRun = true
      entry.startedAt = Date.now()
      changed()
      return {
        progress(progress) {
          if (progress.phase === 'log') return
          if (progress.phase === 'evaluating') entry.runId = progress.runId
          entry.progress = progress
          changed()
        },
        done({ imageId, storePath, runId, present }) {
          // An image that existed before is not a result.
          if (!present || runId !== undefined) end(entry, { kind: 'done', imageId, storePath }, runId)
          clear(entry)
        },
        failed(error) {
          end(entry, failure(error))
          clear(entry)
        },
      }
    },
    imagesChanged() {
      imageChanges += 1
      changed()
    },
    runs: () => [...entries.values()].map(toState),
    progressOf: recipe => entries.get(recipeKey(recipe))?.progress,
    results: () => [...results],
    imageChanges: () => imageChanges,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function toState({ recipe, startedAt, runId, progress, waiting }: Entry): PullState {
  return { recipe, startedAt, runId, progress, waiting: [...waiting] }
}

function isSameConclusion(one: Conclusion | undefined, other: Conclusion): boolean {
  if (one?.kind === 'failed' && other.kind === 'failed') return one.code === other.code
  return one?.kind === other.kind
}

function failure({ code, message }: ShimError): Conclusion {
  return { kind: 'failed', code, message: copyStart(firstLine(message), MAX_MESSAGE_LENGTH) }
}

/** Leaves out a last clause that only announces the lines below it. */
function firstLine(message: string): string {
  const [line = ''] = message.split('\n', 1)
  return message === line ? line : line.replace(/(?<=\.) [^.]*:$/, '')
}
