import { loadService } from '../../lib/grpc/service.ts'
import type { PullsDefinition } from '../../protos/generated/enbi/v1alpha1/Pulls.ts'

export const PULLS = loadService<PullsDefinition>('enbi.proto', 'enbi.v1alpha1.Pulls')
