import { SYSTEM_NAMESPACE } from '../../../kube/resources/names.ts'

export interface Right {
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly verb: string
  /** All of them unless told otherwise. */
  readonly namespace?: string
}

const each = (verbs: readonly string[], right: Omit<Right, 'verb'>): Right[] => verbs.map(verb => ({ ...right, verb }))

/** What a shim does in a cluster: the rights that `deploy/base/shim-rights.yaml` gives. */
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
