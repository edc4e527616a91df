import type { ErrorCode, ShimError } from '../../lib/errors.ts'
import { copyStart } from '../../lib/text/text.ts'
import { type Recipe, recipeKey } from '../../recipes/recipe.ts'
import type { ImageRequest, PullReporter } from './contract.ts'
import type { PullProgress } from './progress.ts'

/** What runs now and how the latest runs ended. All of it is small and bounded: it is kept while the shim is at rest. */
export interface PullLog extends PullReporter {
  /** Runs and requests that wait for one, in the order in which they were first requested. */
  runs(): readonly RunFacts[]
  /** The latest results, newest first. */
  results(): readonly ResultFacts[]
  /** Counter that grows when images may have come or gone. */
  imageChanges(): number
  /** Calls back after every change. Returns how to stop that. */
  onChange(listener: () => void): () => void
}

/** Times are in milliseconds since 1970. */
export interface RunFacts {
  readonly recipe: Recipe
  /** While there is no run yet: when its first request began to wait. */
  readonly startedAt: number
  /** Names the log of the run; undefined until nix runs. */
  readonly runId: string | undefined
  /** The latest progress that is not a line of a log. */
  readonly progress: PullProgress | undefined
  /** Empty when every request has been withdrawn. */
  readonly waiting: readonly ImageRequest[]
}

export interface ResultFacts {
  readonly recipe: Recipe
  readonly endedAt: number
  /** In milliseconds; undefined when nothing was run. */
  readonly tookMs: number | undefined
  /** Names the log of the run; undefined when nix did not run. */
  readonly runId: string | undefined
  readonly ending: Ending
  /** How often in a row the recipe has ended like this, as far as results are remembered. */
  readonly times: number
}

export type Ending =
  | { readonly kind: 'done'; readonly imageId: string; readonly storePath: string | undefined }
  /** The first line of its message, cut at 300 characters. */
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
  const results: ResultFacts[] = []
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
  const remember = (result: Omit<ResultFacts, 'times' | 'endedAt'>) => {
    const key = recipeKey(result.recipe)
    const last = results.findIndex(({ recipe }) => recipeKey(recipe) === key)
    const isSame = isSameEnding(results[last]?.ending, result.ending)
    // The kubelet retries a hopeless pod indefinitely: it must not push out every other result.
    const [before] = isSame ? results.splice(last, 1) : []
    // Without a run of its own, this may be the remembered failure of the run before.
    const { tookMs, runId } = result.tookMs === undefined ? (before ?? result) : result
    results.unshift({ ...result, tookMs, runId, endedAt: Date.now(), times: (before?.times ?? 0) + 1 })
    if (results.length > MAX_RESULTS) results.pop()
  }
  const rememberFailure = (recipe: Recipe, error: ShimError) =>
    remember({ recipe, tookMs: undefined, runId: undefined, ending: failure(error) })
  const end = ({ recipe, startedAt, runId: known }: Entry, ending: Ending, runId = known) => {
    remember({ recipe, tookMs: Date.now() - startedAt, runId, ending })
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
          // A run that fails adds its own result.
          if (!entry.hasRun && error.code !== 'Cancelled') rememberFailure(request.recipe, error)
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
          // An image that was there from the start is not the result of a run.
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
    runs: () => [...entries.values()].map(toFacts),
    results: () => [...results],
    imageChanges: () => imageChanges,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function toFacts({ recipe, startedAt, runId, progress, waiting }: Entry): RunFacts {
  return { recipe, startedAt, runId, progress, waiting: [...waiting] }
}

function isSameEnding(one: Ending | undefined, other: Ending): boolean {
  if (one?.kind === 'failed' && other.kind === 'failed') return one.code === other.code
  return one?.kind === other.kind
}

function failure({ code, message }: ShimError): Ending {
  return { kind: 'failed', code, message: copyStart(firstLine(message), MAX_MESSAGE_LENGTH) }
}

/** Without a last clause that only announces the lines below it. */
function firstLine(message: string): string {
  const [line = ''] = message.split('\n', 1)
  return message === line ? line : line.replace(/(?<=\.) [^.]*:$/, '')
}
