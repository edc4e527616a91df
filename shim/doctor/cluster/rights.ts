import { SYSTEM_NAMESPACE } from '../../../kube/resources/names.ts'

export interface Right {
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly verb: string
  /** All namespaces by default. */
  readonly namespace?: string
}

const each = (verbs: readonly string[], right: Omit<Right, 'verb'>): Right[] => verbs.map(verb => ({ ...right, verb }))

/** The rights that a shim needs in a cluster, as granted by `deploy/base/shim-rights.yaml`. */
export const SHIM_RIGHTS: readonly Right[] = [
  ...each(['get', 'list', 'watch', 'create'], { group: 'enbi.hrzn.ee', resource: 'nixbuilds' }),
  ...each(['patch'], { group: 'enbi.hrzn.ee', resource: 'nixbuilds', subresource: 'status' }),
  ...each(['create', 'patch'], { group: '', resource: 'events' }),
  ...each(['create', 'patch'], { group: 'coordination.k8s.io', resource: 'leases', namespace: SYSTEM_NAMESPACE }),
]

export function describeRight({ group, resource, subresource, verb, namespace }: Right): string {
  const path = [resource, ...(subresource ? [subresource] : [])].join('/')
  return `${verb} ${path}${group && `.${group}`}${namespace ? ` in ${namespace}` : ''}`
}
