import { CLAIMS_NAMESPACE, SYSTEM_NAMESPACE } from '../../../kube/resources/names.ts'
import type { Right } from './api-server.ts'

const each = (verbs: readonly string[], right: Omit<Right, 'verb'>): Right[] => verbs.map(verb => ({ ...right, verb }))

const leases = { group: 'coordination.k8s.io', resource: 'leases' }

/** The rights that a shim needs in a cluster, as granted by `deploy/base/shim-rights.yaml`. */
export const SHIM_RIGHTS: readonly Right[] = [
  ...each(['get', 'list'], { group: 'enbi.hrzn.ee', resource: 'nixbuilds' }),
  ...each(['get', 'list', 'watch', 'create'], { group: 'enbi.hrzn.ee', resource: 'nixnodes' }),
  ...each(['patch'], { group: 'enbi.hrzn.ee', resource: 'nixnodes', subresource: 'status' }),
  ...each(['create', 'patch'], { group: '', resource: 'events' }),
  ...each(['create', 'patch'], { ...leases, namespace: SYSTEM_NAMESPACE }),
]

/** Those that it also needs with the section `share`, as granted by `deploy/base/claims.yaml`. */
export const CLAIM_RIGHTS: readonly Right[] = each(['get', 'watch', 'create', 'patch'], {
  ...leases,
  namespace: CLAIMS_NAMESPACE,
})
