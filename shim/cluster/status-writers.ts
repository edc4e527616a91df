import type { Logger } from 'pino'
import { within } from '../../lib/async/bounded-wait.ts'
import type { RetryableError } from '../../lib/errors.ts'
import { createFairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import { ownedBy } from '../../lib/queues/fair-order.ts'
import { firstOfMost } from '../../lib/queues/first-of-most.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import type { Attempt, FlakeImageRequest } from '../pull/contract.ts'
import { ownEntry } from './nixbuild/claim.ts'
import type { Run } from './nixbuild/run-status.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { createStatusWriter, type StatusWriter } from './status-writer.ts'

/** One NixBuild and the callers that wait for its recipe. */
export interface Entry {
  readonly writer: StatusWriter
  /** The latest run of the recipe that a caller waited for. */
  readonly run: Run | undefined
  /** `run` is the current run. */
  join(caller: Caller, run: Run | undefined): void
  leave(caller: Caller): void
}

export interface Caller {
  /** Set if the NixBuild is assigned to this node. */
  readonly attempt?: Attempt | undefined
  /** Whether the request comes from the cluster. A pull by hand is not reported. */
  readonly isOfCluster: boolean
  follow(run: Run): void
  leave(reason: RetryableError): void
}

export interface StatusWriters {
  /** Returns the entry of a request, creating it if necessary; undefined for a request without a namespace. */
  of(request: FlakeImageRequest): Entry | undefined
  has(namespace: string, recipe: FlakeRecipe): boolean
  /** Starts reporting a run to all callers that wait for the recipe. */
  follow(recipeKey: string, run: Run): void
  waitedFor(): WaitedFor[]
  written(namespace: string, recipe: FlakeRecipe): Promise<void>
  close(limitMs: number): Promise<void>
}

export interface WaitedFor {
  readonly key: string
  /** When its NixBuild was last seen, in milliseconds since 1970. */
  readonly seenAt: number
  /** Throws like `Kube`. */
  isGone(): Promise<boolean>
  /** Cancels all requests from the cluster. */
  leave(reason: RetryableError): void
}

export interface StatusWritersOptions {
  readonly store: NixBuildStore
  readonly node: string
  readonly now: () => number
  readonly onImage: (nixBuild: { namespace: string; name: string; recipe: string }) => void
  readonly logger: Logger
}

/**
 * Limit while the API server is unreachable. Beyond it, the namespace with the most writers loses its oldest finished
 * one.
 */
const MAX_WRITERS = 500
/**
 * For all writers together. One namespace never gets all of them, because its own NixBuilds may be what makes them
 * slow.
 */
const MAX_CONCURRENT_REQUESTS = 8

interface StoredEntry extends Entry {
  readonly recipeKey: string
  run: Run | undefined
  /** Whether any caller came from the cluster. */
  isOfCluster: boolean
  /** From the latest caller that sets it. */
  attempt: Attempt | undefined
  readonly callers: Set<Caller>
}

export function createStatusWriters(options: StatusWritersOptions): StatusWriters {
  const { node, onImage } = options
  const entries = new Map<string, StoredEntry>()
  const requests = createFairGate({
    count: MAX_CONCURRENT_REQUESTS,
    perOwner: shareOf(MAX_CONCURRENT_REQUESTS),
    what: 'request',
  })
  const waiting = new Set<() => void>()
  const never = new AbortController().signal

  function inTurn<Result>(namespace: string, task: () => Promise<Result>): Promise<Result> {
    return requests.run({ owners: ownedBy(namespace), signal: never }, task)
  }

  function addEntry(key: string, { namespace, recipe, nixBuild }: FlakeImageRequest): StoredEntry {
    makeRoom()
    const writer = createStatusWriter({
      ...options,
      namespace,
      recipe,
      name: nixBuild,
      isWanted: () => entry.callers.size > 0,
      attempt: () => entry.attempt,
      mayCreate: () => entry.isOfCluster,
      inTurn: task => inTurn(namespace, task),
      onSeen(live) {
        if (ownEntry(live, node)) onImage({ namespace, name: live.metadata.name, recipe: recipeKey(recipe) })
      },
      onWritten() {
        forgetIdle(key)
        for (const check of waiting) check()
      },
    })
    const entry: StoredEntry = {
      writer,
      recipeKey: recipeKey(recipe),
      run: undefined,
      isOfCluster: false,
      attempt: undefined,
      callers: new Set(),
      join(caller, run) {
        entry.callers.add(caller)
        entry.isOfCluster ||= caller.isOfCluster
        entry.attempt = caller.attempt ?? entry.attempt
        if (!run) return
        if (entry.run !== run) followRun(entry, run)
        caller.follow(run)
      },
      leave(caller) {
        entry.callers.delete(caller)
        forgetIdle(key)
      },
    }
    entries.set(key, entry)
    return entry
  }

  function followRun(entry: StoredEntry, run: Run): void {
    entry.run = run
    entry.writer.follow(run)
  }

  function forgetIdle(key: string): void {
    const entry = entries.get(key)
    if (!entry || entry.callers.size > 0 || !entry.writer.isWritten) return
    entry.writer.end()
    entries.delete(key)
  }

  function makeRoom(): void {
    if (entries.size < MAX_WRITERS) return
    const idle = [...entries].filter(([, { callers, run }]) => callers.size === 0 && (!run || run.facts().outcome))
    const [key, entry] = firstOfMost(idle, ([, { writer }]) => writer.namespace) ?? []
    if (key === undefined || entry === undefined) return
    const { namespace, recipe } = entry.writer
    options.logger.warn({ namespace, image: recipe.image }, 'dropped a status that was not written')
    entry.writer.end()
    entries.delete(key)
  }

  /** Resolves when `holds` returns true. It is checked after each finished write. */
  function until(holds: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const check = () => {
        if (!holds()) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  }

  return {
    of(request) {
      if (request.namespace === '') return undefined
      const key = keyOf(request)
      return entries.get(key) ?? addEntry(key, request)
    },
    has: (namespace, recipe) => entries.has(keyOf({ namespace, recipe })),
    follow(recipeKey, run) {
      for (const entry of entries.values()) {
        if (entry.recipeKey !== recipeKey || entry.callers.size === 0) continue
        followRun(entry, run)
        for (const caller of entry.callers) caller.follow(run)
      }
    },
    waitedFor: () =>
      [...entries]
        .filter(([, { callers, run }]) => callers.size > 0 && run && !run.facts().outcome)
        .map(([key, { writer, callers }]) => ({
          key,
          seenAt: writer.seenAt,
          isGone: () => inTurn(writer.namespace, writer.isGone),
          leave(reason) {
            for (const caller of callers) if (caller.isOfCluster) caller.leave(reason)
          },
        })),
    written: (namespace, recipe) => until(() => entries.get(keyOf({ namespace, recipe }))?.writer.isWritten ?? true),
    async close(limitMs) {
      await within(
        limitMs,
        until(() => [...entries.values()].every(({ writer }) => writer.isWritten)),
      )
      for (const { writer } of entries.values()) writer.end()
      entries.clear()
    },
  }
}

function keyOf({ namespace, recipe }: Pick<FlakeImageRequest, 'namespace' | 'recipe'>): string {
  return `${namespace}/${recipeKey(recipe)}`
}
