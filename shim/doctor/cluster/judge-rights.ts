import pMap from 'p-map'
import { CLAIMS_NAMESPACE, SYSTEM_NAMESPACE } from '../../../kube/resources/names.ts'
import { type Finding, failed, ok } from '../probes/finding.ts'
import type { ApiServer, Right } from './api-server.ts'

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

/** Concurrent requests to an API server. */
const MAX_CONCURRENT = 4

/** Whether the shim has all of some rights, by SelfSubjectAccessReviews. */
export async function judgeRights(
  api: ApiServer,
  { rights, wayOut }: { readonly rights: readonly Right[]; readonly wayOut: string },
  signal: AbortSignal,
): Promise<Finding> {
  const allowed = await pMap(rights, right => api.isAllowed(right, signal), { concurrency: MAX_CONCURRENT })
  const missing = rights.filter((_, index) => !allowed[index])
  if (missing.length === 0) return ok(`all ${rights.length} that the shim needs`)
  return failed(`the shim may not ${missing.map(describeRight).join(', ')}`, wayOut)
}

function describeRight({ group, resource, subresource, verb, namespace }: Right): string {
  const path = [resource, ...(subresource ? [subresource] : [])].join('/')
  return `${verb} ${path}${group && `.${group}`}${namespace ? ` in ${namespace}` : ''}`
}
