import { loadService } from '../../lib/grpc/service.ts'
import type { PullProgress__Output } from '../../protos/generated/enbi/v1alpha1/PullProgress.ts'
import type { PullsDefinition } from '../../protos/generated/enbi/v1alpha1/Pulls.ts'

export const PULLS = loadService<PullsDefinition>('enbi.proto', 'enbi.v1alpha1.Pulls')

/** As it is on the wire, see `protos/enbi.proto`. */
export type WireProgress = PullProgress__Output
