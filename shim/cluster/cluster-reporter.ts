import { isUnanswered, RetryableError } from '../../lib/errors.ts'
import { type Recipe, recipeKey } from '../../recipes/recipe.ts'
import type { ImageRequest, PullReporter, RequestReport, RunReport } from '../pull/contract.ts'
import type { RunPromise } from '../pull/runs/promised-runs.ts'
import type { PodIdentity } from '../wire/cri.ts'
import type { NodeBuilds } from './builds/node-builds.ts'
import { createReportedRun, type ReportedRun, refusal } from './builds/reported-run.ts'
import { createPodEventWriter, type PodEvent, type PodEventWriter } from './pod-event-writer.ts'

export interface ClusterReporterOptions {
  readonly builds: NodeBuilds
  readonly node: string
  readonly now?: () => number
  readonly imageSize: (image: string) => Promise<number | undefined>
  readonly recordEvent: (pod: PodIdentity, event: PodEvent) => void
  readonly imagesChanged: () => void
}

/** Reports runs to the cluster: to this node's builds, and to pods as Events. */
export interface ClusterReporter extends PullReporter {
  /** Keys of the recipes that are being built or imported. */
  activeKeys(): ReadonlySet<string>
  /** Cancels the requests of these pods, by UID, now and until the next call. They are not expected to ask again. */
  letGo(pods: readonly string[]): void
}

interface WaitingRequest {
  readonly request: ImageRequest
  readonly events: PodEventWriter
  readonly controller: AbortController
  hasRun: boolean
}

export function createClusterReporter(options: ClusterReporterOptions): ClusterReporter {
  const { builds, node, imageSize, recordEvent } = options
  const now = options.now ?? Date.now
  const runs = new Map<string, ReportedRun>()
  /** Requests that wait, by recipe. */
  const waiting = new Map<string, Set<WaitingRequest>>()
  /** UIDs of pods that are expected to ask again. */
  const promised = new Map<RunPromise, string>()
  let gone: ReadonlySet<string> = new Set()

  function podEventWriter(request: ImageRequest): PodEventWriter {
    const { pod } = request
    return createPodEventWriter({ request, node, now, record: event => pod && recordEvent(pod, event) })
  }

  function follow(one: WaitingRequest, run: ReportedRun): void {
    one.hasRun = true
    builds.follow(one.request, run)
    one.events.follow(run)
  }

  function cancelGone({ request: { pod }, controller }: WaitingRequest): void {
    if (pod && gone.has(pod.uid)) controller.abort(new RetryableError('Cancelled', POD_DELETED))
  }

  function add(one: WaitingRequest): () => void {
    const key = recipeKey(one.request.recipe)
    const all = waiting.get(key) ?? new Set()
    waiting.set(key, all.add(one))
    builds.join(one.request)
    return () => {
      all.delete(one)
      if (all.size === 0 && waiting.get(key) === all) waiting.delete(key)
      builds.leave(one.request)
    }
  }

  return {
    imagesChanged: options.imagesChanged,
    refused(request, error) {
      podEventWriter(request).refused(error)
      builds.join(request)
      builds.conclude(request, refusal(error, now()))
      builds.leave(request)
    },
    waiting(request): RequestReport {
      const events = podEventWriter(request)
      const one = { request, events, controller: new AbortController(), hasRun: false }
      const leave = add(one)
      const run = runs.get(recipeKey(request.recipe))
      if (run) follow(one, run)
      cancelGone(one)
      return {
        signal: one.controller.signal,
        promised(promise) {
          if (!request.pod) return
          const expectNoMore = builds.expect(request)
          promised.set(promise, request.pod.uid)
          promise.ended.then(() => {
            promised.delete(promise)
            expectNoMore()
          })
        },
        done() {
          events.done()
          leave()
        },
        failed(error) {
          events.failed(error)
          if (!one.hasRun && !isUnanswered(error)) builds.conclude(request, refusal(error, now()))
          leave()
        },
      }
    },
    started(recipe: Recipe): RunReport {
      const key = recipeKey(recipe)
      const run = createReportedRun(recipe, { now, imageSize })
      runs.set(key, run)
      run.ended.then(state => {
        if (runs.get(key) === run) runs.delete(key)
        if (state.outcome?.kind !== 'Succeeded') return
        builds.imageMade(key, state)
        if (!state.outcome.present) options.imagesChanged()
      })
      for (const one of waiting.get(key) ?? []) follow(one, run)
      return run
    },
    activeKeys: () => new Set(runs.keys()),
    letGo(pods) {
      gone = new Set(pods)
      for (const all of waiting.values()) for (const one of all) cancelGone(one)
      for (const [promise, uid] of promised) if (gone.has(uid)) promise.break()
    },
  }
}

const POD_DELETED = 'the pull is cancelled because its pod was deleted'
