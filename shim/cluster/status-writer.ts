import type { Logger } from 'pino'
import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { backOffMs } from '../../lib/async/retry.ts'
import { messageOf, ShimError } from '../../lib/errors.ts'
import type { FlakeRecipe } from '../../recipes/recipe.ts'
import type { Attempt } from '../pull/contract.ts'
import { createAlarm } from './nixnode/alarm.ts'
import { mayTakeClaim } from './nixbuild/claim.ts'
import type { ReportedRun, ReportedRunState } from './builds/reported-run.ts'
import { statusChange } from './nixbuild/status.ts'
import { dueAt, type LastWrite, lastWriteOf } from './builds/write-schedule.ts'
import type { NixBuildStore } from './nixbuild-store.ts'

/** Writes the latest run of a recipe to its NixBuild. Retries until the outcome is written. */
export interface StatusWriter {
  readonly namespace: string
  readonly recipe: FlakeRecipe
  /** From now on, this run is written. */
  follow(run: ReportedRun): void
  /** Writes the end of a request that had no run, if there is a NixBuild. */
  conclude(state: ReportedRunState): void
  /**
   * Whether the NixBuild that the run was written to is gone. An unclaimed NixBuild is claimed again. Throws like
   * `Kube`.
   */
  isGone(): Promise<boolean>
  /** When the NixBuild was last seen, in milliseconds since 1970. */
  readonly seenAt: number
  /** Whether the outcome of the run has been written, or there was no run. */
  readonly isWritten: boolean
  /** Stops writing. */
  end(): void
}

export interface StatusWriterOptions {
  readonly namespace: string
  readonly recipe: FlakeRecipe
  /** Name of the NixBuild, if it is known. */
  readonly name?: string | undefined
  readonly store: NixBuildStore
  readonly node: string
  readonly now: () => number
  /** Whether a request on this node waits for the recipe. */
  readonly isWanted: () => boolean
  /** Set if the NixBuild is assigned to this node. */
  readonly attempt: () => Attempt | undefined
  /** Whether a missing NixBuild is created for a run. */
  readonly mayCreate: () => boolean
  /** Limits the concurrent writes of all writers. */
  readonly inTurn: (task: () => Promise<void>) => Promise<void>
  /** Gets the NixBuild as it is after a write. */
  readonly onSeen: (live: NixBuild) => void
  /** The outcome has been written. */
  readonly onWritten: () => void
  readonly logger: Logger
}

const LONGEST_PAUSE_MS = 10_000
/** If this node has the image while another still builds it, the other may still fail. */
const CHECK_AGAIN_MS = 10_000
/** A refusal by the API server may be fixed, but not by retrying indefinitely. */
const MAX_REFUSALS = 10

/** What is currently written, and the latest write of it. */
interface RunRecord {
  readonly state: () => ReportedRunState
  readonly isRun: boolean
  written?: LastWrite
  /** uid of the NixBuild that it was written to. */
  uid?: string
}

export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const { namespace, recipe, store, node, now, logger } = options
  const alarm = createAlarm(writeInTurn, now)
  let { name } = options
  let record: RunRecord | undefined
  /** As last seen; undefined if it may be out of date. */
  let live: NixBuild | undefined
  let seenAt = 0
  let failures = 0
  let retryAt = 0
  let isBusy = false
  let isOver = false
  let unfollow = () => {}

  function begin(next: RunRecord): void {
    unfollow()
    record = next
    live = undefined
    schedule()
  }

  /** The other node has lost the claim while the run continues here. */
  function writeAgain(found: NixBuild): void {
    if (!record || isBusy || isOver) return
    live = found
    delete record.written
    schedule()
  }

  function schedule(): void {
    const due = record && !isBusy && !isOver ? dueAt(record.state(), record.written) : undefined
    if (due !== undefined) alarm.set(Math.max(due, retryAt))
  }

  async function writeInTurn(): Promise<void> {
    const due = record && dueAt(record.state(), record.written)
    if (!record || due === undefined || due > now()) return schedule()
    isBusy = true
    const current = record
    try {
      retryAt = 0
      await options.inTurn(() => write(current))
      failures = 0
    } catch (error) {
      failed(current, error)
    }
    isBusy = false
    if (record !== current) live = undefined
    if (record.written?.ended) options.onWritten()
    schedule()
  }

  async function write(record: RunRecord): Promise<void> {
    if (isOver) return
    const known = live
    live ??= await find(record)
    const run = record.state()
    const asked = { node, now: now(), isWanted: options.isWanted(), attempt: options.attempt() }
    const change = live && statusChange({ live, run, ...asked })
    if (live && change) live = await store.change(live, change)
    if (live && live !== known) {
      seenAt = now()
      options.onSeen(live)
    }
    if (run.outcome?.kind === 'Succeeded' && live && live.status.status !== 'Succeeded') {
      live = undefined
      retryAt = now() + CHECK_AGAIN_MS
    } else record.written = lastWriteOf(run, record.written, now())
  }

  /** A NixBuild that was deleted during the run is not created again, because it is not wanted any more. */
  async function find(record: RunRecord): Promise<NixBuild | undefined> {
    const { outcome } = record.state()
    const isFirst = record.uid === undefined && outcome?.kind !== 'Cancelled'
    const mayCreate = record.isRun && isFirst && options.mayCreate()
    const query = { namespace, recipe, name }
    const found = (await store.find(query)) ?? (mayCreate ? await store.create(query) : undefined)
    if (!found) return undefined
    record.uid = found.metadata.uid
    name = found.metadata.name
    return found
  }

  /** After any error, the known NixBuild may be out of date. */
  function failed(record: RunRecord, error: unknown): void {
    failures += 1
    live = undefined
    const code = error instanceof ShimError ? error.code : undefined
    const isRace = code === 'ClusterConflict'
    if (!isRace || failures > 1)
      logger.warn(
        { namespace, nixBuild: name, failures, err: messageOf(error) },
        'cannot write the status of a NixBuild',
      )
    if (code === 'ClusterRefused' && failures >= MAX_REFUSALS) {
      record.written = lastWriteOf(record.state(), record.written, now())
      failures = 0
    } else retryAt = now() + backOffMs(isRace ? failures : failures + 2, LONGEST_PAUSE_MS)
  }

  return {
    namespace,
    recipe,
    get seenAt() {
      return seenAt
    },
    get isWritten() {
      return !isBusy && (record === undefined || record.written?.ended === true)
    },
    follow(run) {
      begin({ state: run.state, isRun: true })
      unfollow = run.onChange(schedule)
    },
    conclude: state => begin({ state: () => state, isRun: false }),
    async isGone() {
      if (record?.uid === undefined || name === undefined) return false
      const found = await store.find({ namespace, recipe, name })
      if (!found) return true
      // A NixBuild made again may have another name.
      record.uid = found.metadata.uid
      name = found.metadata.name
      seenAt = now()
      if (mayTakeClaim(found, node)) writeAgain(found)
      return false
    },
    end() {
      isOver = true
      alarm.clear()
      unfollow()
    },
  }
}
