import type { Kind, ObjectName, Selection } from './contract.ts'

type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** `/apis/enbi.hrzn.ee/v1alpha1/namespaces/team/nixbuilds/web/status?…` */
export function objectPath(kind: Kind<unknown>, object: ObjectName, subresource?: string, query: Query = {}): string {
  const parts = [collection(kind, object.namespace), encodeURIComponent(object.name)]
  if (subresource) parts.push(subresource)
  return parts.join('/') + search(query)
}

/** The path to list, watch and create objects of this kind. */
export function collectionPath(kind: Kind<unknown>, namespace: string | undefined, query: Query = {}): string {
  return collection(kind, namespace) + search(query)
}

export function selectionQuery({ labelSelector, fieldSelector }: Selection): Query {
  return { labelSelector, fieldSelector }
}

/** `nixbuilds team/web`, for messages. */
export function describeObject(kind: Kind<unknown>, { namespace, name }: ObjectName): string {
  return `${kind.plural} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

function collection({ apiVersion, plural, namespaced }: Kind<unknown>, namespace: string | undefined): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  return namespaced && namespace !== undefined
    ? `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`
    : `${root}/${plural}`
}

function search(query: Query): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, String(value))
  const text = params.toString()
  return text && `?${text}`
}
