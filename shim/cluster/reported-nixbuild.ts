import type { Logger } from 'pino'
import type { RetryableError } from '../../lib/errors.ts'
import { recipeKey } from '../../recipes/recipe.ts'
import type { Attempt, FlakeImageRequest } from '../pull/contract.ts'
import type { ListedNixBuild } from './builds/present-images.ts'
import { ownEntry } from './nixbuild/claim.ts'
import type { ReportedRun } from './builds/reported-run.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { createStatusWriter, type StatusWriter } from './status-writer.ts'

export interface Caller {
  /** Set if the NixBuild is assigned to this node. */
  readonly attempt?: Attempt | undefined
  /** Whether the request comes from the cluster. A pull by hand is not reported. */
  readonly isOfCluster: boolean
  follow(run: ReportedRun): void
  cancel(reason: RetryableError): void
}

/** One NixBuild and the callers that wait for its recipe. */
export interface ReportedNixBuild {
  readonly writer: StatusWriter
  readonly recipeKey: string
  /** The latest run of the recipe that a caller waited for. */
  readonly run: ReportedRun | undefined
  readonly hasCallers: boolean
  /** Whether the latest run has not ended. */
  readonly isRunning: boolean
  /** `run` is the current run. */
  join(caller: Caller, run: ReportedRun | undefined): void
  leave(caller: Caller): void
  /** Starts reporting a run to the NixBuild and to all callers. */
  follow(run: ReportedRun): void
  /** Cancels all requests from the cluster. */
  cancel(reason: RetryableError): void
}

export interface ReportedNixBuildOptions {
  readonly request: FlakeImageRequest
  readonly store: NixBuildStore
  readonly node: string
  readonly now: () => number
  readonly onImage: (nixBuild: ListedNixBuild) => void
  /** Limits the concurrent writes of all writers. */
  readonly inTurn: (task: () => Promise<void>) => Promise<void>
  /** A caller has left, or the outcome has been written. */
  readonly onChange: () => void
  readonly logger: Logger
}

export function createReportedNixBuild(options: ReportedNixBuildOptions): ReportedNixBuild {
  const { request, node, onImage, onChange } = options
  const { namespace, recipe } = request
  const key = recipeKey(recipe)
  const callers = new Set<Caller>()
  let run: ReportedRun | undefined
  /** Whether any caller came from the cluster. */
  let isOfCluster = false
  /** From the latest caller that sets it. */
  let attempt: Attempt | undefined

  const writer = createStatusWriter({
    ...options,
    namespace,
    recipe,
    name: request.nixBuild,
    isWanted: () => callers.size > 0,
    attempt: () => attempt,
    mayCreate: () => isOfCluster,
    onSeen(live) {
      if (ownEntry(live, node)) onImage({ namespace, name: live.metadata.name, recipe: key })
    },
    onWritten: onChange,
  })

  function write(next: ReportedRun): void {
    if (run === next) return
    run = next
    writer.follow(next)
  }

  return {
    writer,
    recipeKey: key,
    get run() {
      return run
    },
    get hasCallers() {
      return callers.size > 0
    },
    get isRunning() {
      return run !== undefined && !run.state().outcome
    },
    join(caller, current) {
      callers.add(caller)
      isOfCluster ||= caller.isOfCluster
      attempt = caller.attempt ?? attempt
      if (!current) return
      write(current)
      caller.follow(current)
    },
    leave(caller) {
      callers.delete(caller)
      onChange()
    },
    follow(next) {
      write(next)
      for (const caller of callers) caller.follow(next)
    },
    cancel(reason) {
      for (const caller of callers) if (caller.isOfCluster) caller.cancel(reason)
    },
  }
}
