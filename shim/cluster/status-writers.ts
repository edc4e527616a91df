import type { Logger } from 'pino'
import { within } from '../../lib/async/bounded-wait.ts'
import type { RetryableError } from '../../lib/errors.ts'
import { firstOfMost } from '../../lib/queues/fair-excess.ts'
import { createFairGate, shareOf } from '../../lib/queues/fair-gate.ts'
import { ownedBy } from '../../lib/queues/fair-order.ts'
import { type FlakeRecipe, recipeKey } from '../../recipes/recipe.ts'
import type { FlakeImageRequest } from '../pull/contract.ts'
import type { ReportedRun } from './builds/reported-run.ts'
import { createReportedNixBuild, type ReportedNixBuild, type ReportedNixBuildOptions } from './reported-nixbuild.ts'

/** The writers of all NixBuilds that this node reports to, by namespace and recipe. */
export interface StatusWriters {
  /** The NixBuild of a request, which is added if necessary; undefined for a request without a namespace. */
  of(request: FlakeImageRequest): ReportedNixBuild | undefined
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

export interface StatusWritersOptions extends Pick<ReportedNixBuildOptions, 'store' | 'node' | 'now' | 'onImage'> {
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
  const nixBuilds = new Map<string, ReportedNixBuild>()
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

  function add(key: string, request: FlakeImageRequest): ReportedNixBuild {
    makeRoom()
    const nixBuild = createReportedNixBuild({
      ...options,
      request,
      inTurn: task => inTurn(request.namespace, task),
      onChange() {
        forgetIdle(key)
        for (const check of waiting) check()
      },
    })
    nixBuilds.set(key, nixBuild)
    return nixBuild
  }

  function forgetIdle(key: string): void {
    const nixBuild = nixBuilds.get(key)
    if (!nixBuild || nixBuild.hasCallers || !nixBuild.writer.isWritten) return
    nixBuild.writer.end()
    nixBuilds.delete(key)
  }

  function makeRoom(): void {
    if (nixBuilds.size < MAX_WRITERS) return
    const finished = [...nixBuilds].filter(([, { hasCallers, isRunning }]) => !hasCallers && !isRunning)
    const [key, nixBuild] = firstOfMost(finished, ([, { writer }]) => writer.namespace) ?? []
    if (key === undefined || nixBuild === undefined) return
    const { namespace, recipe } = nixBuild.writer
    options.logger.warn({ namespace, image: recipe.image }, 'dropped the status of a NixBuild: too many are unwritten')
    nixBuild.writer.end()
    nixBuilds.delete(key)
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
      return nixBuilds.get(key) ?? add(key, request)
    },
    has: (namespace, recipe) => nixBuilds.has(keyOf({ namespace, recipe })),
    follow(recipeKey, run) {
      for (const nixBuild of nixBuilds.values())
        if (nixBuild.recipeKey === recipeKey && nixBuild.hasCallers) nixBuild.follow(run)
    },
    waitedFor: () =>
      [...nixBuilds]
        .filter(([, { hasCallers, isRunning }]) => hasCallers && isRunning)
        .map(([key, { writer, cancel }]) => ({
          key,
          seenAt: writer.seenAt,
          isGone: () => inTurn(writer.namespace, writer.isGone),
          cancel,
        })),
    written: (namespace, recipe) => until(() => nixBuilds.get(keyOf({ namespace, recipe }))?.writer.isWritten ?? true),
    async close(limitMs) {
      await within(
        limitMs,
        until(() => [...nixBuilds.values()].every(({ writer }) => writer.isWritten)),
      )
      for (const { writer } of nixBuilds.values()) writer.end()
      nixBuilds.clear()
    },
  }
}

function keyOf({ namespace, recipe }: Pick<FlakeImageRequest, 'namespace' | 'recipe'>): string {
  return `${namespace}/${recipeKey(recipe)}`
}
