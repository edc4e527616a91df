import type { Logger } from 'pino'
import { within } from '../../lib/async/bounded-wait.ts'
import type { RetryableError } from '../../lib/errors.ts'
import { firstOfMost } from '../../lib/queues/fair-excess.ts'
import { createFairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import { ownedBy } from '../../lib/queues/fair-order.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import type { FlakeImageRequest } from '../pull/contract.ts'
import type { ReportedRun } from './nixbuild/reported-run.ts'
import { createWriterEntry, type WriterEntry, type WriterEntryOptions } from './writer-entry.ts'

/** The writers of all NixBuilds that this node reports to, by namespace and recipe. */
export interface StatusWriters {
  /** Returns the entry of a request, creating it if necessary; undefined for a request without a namespace. */
  of(request: FlakeImageRequest): WriterEntry | undefined
  has(namespace: string, recipe: FlakeRecipe): boolean
  /** Starts reporting a run to all callers that wait for the recipe. */
  follow(recipeKey: string, run: ReportedRun): void
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
  cancel(reason: RetryableError): void
}

export interface StatusWritersOptions extends Pick<WriterEntryOptions, 'store' | 'node' | 'now' | 'onImage'> {
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

export function createStatusWriters(options: StatusWritersOptions): StatusWriters {
  const entries = new Map<string, WriterEntry>()
  const requests = createFairGate({
    count: MAX_CONCURRENT_REQUESTS,
    perOwner: shareOf(MAX_CONCURRENT_REQUESTS),
    what: 'request',
  })
  const never = new AbortController().signal
  const waiting = new Set<() => void>()

  function inTurn<Result>(namespace: string, task: () => Promise<Result>): Promise<Result> {
    return requests.run({ owners: ownedBy(namespace), signal: never }, task)
  }

  function addEntry(key: string, request: FlakeImageRequest): WriterEntry {
    makeRoom()
    const entry = createWriterEntry({
      ...options,
      request,
      inTurn: task => inTurn(request.namespace, task),
      onChange() {
        forgetIdle(key)
        for (const check of waiting) check()
      },
    })
    entries.set(key, entry)
    return entry
  }

  function forgetIdle(key: string): void {
    const entry = entries.get(key)
    if (!entry || entry.hasCallers || !entry.writer.isWritten) return
    entry.writer.end()
    entries.delete(key)
  }

  function makeRoom(): void {
    if (entries.size < MAX_WRITERS) return
    const finished = [...entries].filter(([, { hasCallers, isRunning }]) => !hasCallers && !isRunning)
    const [key, entry] = firstOfMost(finished, ([, { writer }]) => writer.namespace) ?? []
    if (key === undefined || entry === undefined) return
    const { namespace, recipe } = entry.writer
    options.logger.warn({ namespace, image: recipe.image }, 'dropped the status of a NixBuild: too many are unwritten')
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
      for (const entry of entries.values()) if (entry.recipeKey === recipeKey && entry.hasCallers) entry.follow(run)
    },
    waitedFor: () =>
      [...entries]
        .filter(([, { hasCallers, isRunning }]) => hasCallers && isRunning)
        .map(([key, { writer, cancel }]) => ({
          key,
          seenAt: writer.seenAt,
          isGone: () => inTurn(writer.namespace, writer.isGone),
          cancel,
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
