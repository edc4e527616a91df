import type { Logger } from 'pino'
import type { Kube } from '../../kube/client/contract.ts'
import { heartbeat } from '../../kube/heartbeat.ts'
import { SYSTEM_NAMESPACE, shimFieldManager, shimLeaseName } from '../../kube/resources/names.ts'
import type { PullImage } from '../pull/contract.ts'
import { buildGiven } from './given-builds.ts'
import { giveBackLeftBuilding } from './left-building.ts'
import type { NixBuildStore } from './nixbuild-store.ts'
import type { Reporter } from './reporter.ts'
import { watchWanted } from './wanted-check.ts'

export interface DutiesOptions {
  readonly kube: Kube
  readonly store: NixBuildStore
  readonly node: string
  readonly leaseMs: number
  readonly unwantedCheckMs: number
  readonly reporter: Reporter
  readonly pullImage: PullImage
  /** Ends them all. */
  readonly signal: AbortSignal
  readonly logger: Logger
}

/** What a shim does for its cluster whether or not anything is pulled. None of it ends before `signal` aborts. */
export function startDuties(options: DutiesOptions): void {
  const { kube, node, leaseMs: durationMs, unwantedCheckMs: intervalMs, reporter, signal, logger } = options
  const { isBusyWith, told, waitedFor } = reporter
  const duties = [
    heartbeat({
      ...{ kube, durationMs, signal, logger },
      lease: { namespace: SYSTEM_NAMESPACE, name: shimLeaseName(node) },
      identity: node,
      fieldManager: shimFieldManager(node),
    }),
    giveBackLeftBuilding({ ...options, isBusyWith }),
    watchWanted({ waitedFor, intervalMs, signal }),
    buildGiven({ ...options, told }).ended,
  ]
  for (const duty of duties) duty.catch(err => logger.error({ err }, 'a duty to the cluster has ended'))
}
