import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { heartbeat } from '../../kube/heartbeat.ts'
import { SYSTEM_NAMESPACE, shimFieldManager, shimLeaseName } from '../../kube/resources/names.ts'
import type { PullImage } from '../pull/contract.ts'
import { runAssignedBuilds } from './nixnode/assigned-builds.ts'
import type { ClusterReporter } from './cluster-reporter.ts'
import { releaseInterruptedBuilds } from './interrupted-builds.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import { cancelUnwantedBuilds } from './unwanted-builds.ts'

export interface BackgroundTasksOptions {
  readonly kube: Kube
  readonly store: NixBuildStore
  readonly node: string
  readonly leaseMs: number
  readonly unwantedCheckMs: number
  readonly reporter: ClusterReporter
  readonly pullImage: PullImage
  /** Ends all tasks. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** Starts the work that a shim does for its cluster even if nothing is pulled. No task ends before `signal` aborts. */
export function startBackgroundTasks(options: BackgroundTasksOptions): void {
  const { kube, node, leaseMs: durationMs, unwantedCheckMs: intervalMs, reporter, signal, logger } = options
  const { isBusyWith, written, waitedFor } = reporter
  const tasks = [
    heartbeat({
      ...{ kube, durationMs, signal, logger },
      lease: { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) },
      identity: node,
      fieldManager: shimFieldManager(node),
    }),
    releaseInterruptedBuilds({ ...options, isBusyWith }),
    cancelUnwantedBuilds({ waitedFor, intervalMs, signal }),
    runAssignedBuilds({ ...options, written }).ended,
  ]
  for (const task of tasks) task.catch(err => logger.error({ err }, 'a background task of the cluster failed'))
}
