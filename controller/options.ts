import type { ListenAddress } from '../lib/http/listen-address.ts'
import type { LabelSelector } from './reconcile/label-selector.ts'

/** What the flags of enbi-controller say. All durations in milliseconds. */
export interface ControllerOptions {
  /** Path; without one the API server of the cluster that this pod is in. */
  readonly kubeconfig: string | undefined
  readonly nodeRepel: LabelSelector
  readonly keepFinished: number
  readonly keepFinishedFor: number
  readonly unwantedGrace: number
  readonly lostGrace: number
  readonly maxTries: number
  readonly listen: ListenAddress
  /** For health alone, beside what `listen` serves. */
  readonly healthListen: ListenAddress | undefined
  readonly leaderElectLease: number
  readonly leaderElectRenew: number
  readonly leaderElectRetry: number
  readonly logLevel: string
}
