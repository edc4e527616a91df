import type { Logger } from 'pino'
import type { Kube } from '../kube/client/contract.ts'
import { createEventRecorder } from '../kube/event-recorder.ts'
import { CONTROLLER } from '../kube/resources/names.ts'
import { createWorkQueue } from '../kube/work-queue.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import type { ControllerOptions } from './flags.ts'
import type { Metrics } from './metrics.ts'
import { createNamespaceReconciler } from './reconcilers/namespace-reconciler.ts'
import { createNixBuildReconciler } from './reconcilers/nixbuild-reconciler.ts'
import { createPodReconciler, type Reconciler } from './reconcilers/pod-reconciler.ts'
import { type ClusterState, createClusterState } from './state/cluster-state.ts'
import { namespaceOf, parseWorkKey, type WorkKind } from './state/work-key.ts'

/** Writes at the same time. */
const WRITERS = 16

export interface LeadPlan {
  readonly kube: Kube
  readonly options: ControllerOptions
  readonly host: string
  readonly metrics: Metrics
  readonly logger: Logger
  /** Told what has not been read yet, until all has. */
  readonly onUnsynced: (unsynced: () => string[]) => void
}

/** What the one controller does that leads, until the signal aborts. */
export async function lead(plan: LeadPlan, signal: AbortSignal): Promise<void> {
  const { options, metrics, logger } = plan
  const kube = within(plan.kube, signal)
  const state = createClusterState({
    kube,
    repels: options.nodeRepel,
    onDue: key => queue.add(key),
    signal,
    logger,
  })
  const reconcilers = createReconcilers({ ...plan, kube }, state, signal)
  const queue = createWorkQueue({ work, workers: WRITERS, groupOf: namespaceOf, onError, signal })

  async function work(key: string): Promise<void> {
    const { kind, objectKey } = parseWorkKey(key)
    const recheckAt = await metrics.measure(key, () => reconcilers[kind](objectKey))
    if (recheckAt !== undefined) queue.addAt(key, recheckAt)
  }

  function onError(key: string, error: unknown): void {
    if (signal.aborted) return
    // Somebody else wrote first, which a watch is about to tell.
    const level = error instanceof ShimError ? (error.code === 'ClusterConflict' ? 'debug' : 'warn') : 'error'
    logger[level]({ ...parseWorkKey(key), err: level === 'error' ? error : messageOf(error) }, 'will try again')
  }

  plan.onUnsynced(state.unsynced)
  metrics.setLeading({ queue, builds: () => state.builds.all() })
  try {
    await state.synced()
    if (!signal.aborted) logger.info('everything is read')
    await queue.run()
    await state.ended
  } finally {
    metrics.setLeading(undefined)
  }
}

function createReconcilers(
  { kube, options, host, logger }: LeadPlan,
  state: ClusterState,
  signal: AbortSignal,
): Readonly<Record<WorkKind, Reconciler>> {
  const events = createEventRecorder({ kube, component: CONTROLLER, host, signal, logger })
  const limits = {
    unwantedGraceMs: options.unwantedGrace,
    lostGraceMs: options.lostGrace,
    maxTries: options.maxTries,
  }
  const retention = { keepFinished: options.keepFinished, keepFinishedForMs: options.keepFinishedFor }
  return {
    pod: createPodReconciler({ state, kube, events }),
    build: createNixBuildReconciler({ state, kube, events, limits }),
    namespace: createNamespaceReconciler({ state, kube, limits: retention }),
  }
}

/** The same API server for as long as the signal has not aborted: who leads no more must not have the last word. */
function within(kube: Kube, signal: AbortSignal): Kube {
  return {
    ...kube,
    get: (kind, name, options) => kube.get(kind, name, { signal, ...options }),
    list: (kind, selection, onItem, options) => kube.list(kind, selection, onItem, { signal, ...options }),
    create: (kind, object, options) => kube.create(kind, object, { signal, ...options }),
    patch: (kind, object, options) => kube.patch(kind, object, { signal, ...options }),
    replace: (kind, object, options) => kube.replace(kind, object, { signal, ...options }),
    delete: (kind, name, options) => kube.delete(kind, name, { signal, ...options }),
  }
}
