import type { Logger } from 'pino'
import type { Kube } from '../kube/client/contract.ts'
import { createEventRecorder } from '../kube/event-recorder.ts'
import type { Lead } from '../kube/leader-election.ts'
import { CONTROLLER } from '../kube/resources/names.ts'
import { createWorkQueue, type WorkQueue } from '../kube/work-queue.ts'
import { unlessAborted } from '../lib/async/bounded-wait.ts'
import { messageOf, ShimError } from '../lib/errors.ts'
import { keepClaims } from './claims/keep-claims.ts'
import type { ControllerOptions } from './flags.ts'
import { createLeadKube } from './lead-kube.ts'
import type { Metrics } from './metrics.ts'
import { createNixBuildCreator } from './reconcilers/create-nixbuild.ts'
import { createNamespaceReconciler } from './reconcilers/namespace-reconciler.ts'
import { createNixBuildReconciler } from './reconcilers/nixbuild-reconciler.ts'
import { createNixNodeReconciler } from './reconcilers/nixnode-reconciler.ts'
import { createNodeBuildsReconciler } from './reconcilers/node-builds-reconciler.ts'
import { createNodeRecipes } from './reconcilers/node-recipes.ts'
import { createNodeReconciler } from './reconcilers/node-reconciler.ts'
import { createPodReconciler, type Reconciler } from './reconcilers/pod-reconciler.ts'
import type { ClusterState } from './state/cluster-state.ts'
import { groupOfWork, parseWorkKey, type WorkKind, workKey } from './state/work-keys.ts'

/** Number of workers, and so of concurrent writes. */
const WRITERS = 16

export interface LeadOptions {
  readonly state: ClusterState
  readonly kube: Kube
  readonly flags: ControllerOptions
  readonly host: string
  readonly metrics: Metrics
  readonly logger: Logger
}

/** Does the leader's work until the lead is lost. */
export async function leadCluster(options: LeadOptions, lead: Lead): Promise<void> {
  const { state, flags, metrics, logger } = options
  const { signal } = lead
  const kube = createLeadKube(options.kube, lead, { qps: flags.kubeApiQps, burst: flags.kubeApiBurst })
  const addAt = (key: string, time: number) => queue.addAt(key, time)
  const reconcilers = createReconcilers({ ...options, kube, addAt }, signal)
  const queue = createWorkQueue({ work: reconcile, workers: WRITERS, groupOf: groupOfWork, onError, signal })

  async function reconcile(key: string): Promise<void> {
    const { kind, objectKey } = parseWorkKey(key)
    const recheckAt = await metrics.measure(key, () => reconcilers[kind](objectKey))
    if (recheckAt !== undefined) queue.addAt(key, recheckAt)
  }

  function onError(key: string, error: unknown): void {
    if (signal.aborted) return
    // Someone else wrote first, and the watch will report it.
    const level = error instanceof ShimError ? (error.code === 'ClusterConflict' ? 'debug' : 'warn') : 'error'
    logger[level](
      { ...parseWorkKey(key), err: level === 'error' ? error : messageOf(error) },
      'cannot reconcile an object, will retry',
    )
  }

  metrics.setLeading({ queue, builds: () => state.builds.all() })
  try {
    await unlessAborted(state.synced(), signal).catch(() => {})
    if (signal.aborted) return
    logger.info('all objects have been read')
    state.deliverTo(queue.add)
    const { nodeBuilds, nixNodes } = state
    const claims = keepClaims({ kube, nodeBuilds, nixNodes, signal, logger })
    await Promise.all([queue.run(), claims])
  } finally {
    state.deliverTo(undefined)
    metrics.setLeading(undefined)
  }
}

function createReconcilers(
  { state, kube, flags, host, logger, addAt }: LeadOptions & Pick<WorkQueue, 'addAt'>,
  signal: AbortSignal,
): Readonly<Record<WorkKind, Reconciler>> {
  const events = createEventRecorder({ kube, component: CONTROLLER, host, signal, logger })
  const limits = {
    unwantedGraceMs: flags.unwantedGrace,
    lostGraceMs: flags.lostGrace,
    builderGraceMs: flags.builderGrace,
    maxAttempts: flags.maxTries,
    maxAssigned: flags.maxAssigned,
  }
  const retention = { keepFinished: flags.keepFinished, keepFinishedForMs: flags.keepFinishedFor }
  const createNixBuild = createNixBuildCreator({ state, kube })
  const createBuilds = createNodeRecipes({ state, create: createNixBuild })
  const recheck = (node: string, time: number) => addAt(workKey('nodebuilds', node), time)
  return {
    pod: createPodReconciler({ state, kube, createNixBuild, events, writesConditions: flags.podConditions }),
    build: createNixBuildReconciler({ state, kube, events, limits }),
    namespace: createNamespaceReconciler({ state, kube, limits: retention }),
    node: createNodeReconciler({ state, kube }),
    nixnode: createNixNodeReconciler({ state, kube, lostGraceMs: flags.lostGrace }),
    nodebuilds: createNodeBuildsReconciler({ state, kube, createBuilds, recheck }),
  }
}
