import { namespaceOf } from '../../kube/mirror.ts'

const KINDS = ['pod', 'build', 'namespace', 'node', 'nixnode'] as const

/** Kind of object that a key of the work queue names. */
export type WorkKind = (typeof KINDS)[number]

/**
 * Such as `pod:team/web`, `build:team/web-3f2a`, `namespace:team`, `node:worker-1` or
 * `nixnode:worker-1`.
 */
export function workKey(kind: WorkKind, objectKey: string): string {
  return `${kind}:${objectKey}`
}

export function parseWorkKey(key: string): { readonly kind: WorkKind; readonly objectKey: string } {
  const colon = key.indexOf(':')
  const kind = KINDS.find(kind => kind === key.slice(0, colon))
  if (kind === undefined) throw new TypeError(`not a work key: ${key}`)
  return { kind, objectKey: key.slice(colon + 1) }
}

/** The group in which keys take turns: the namespace, or all nodes together. */
export function groupOfWork(key: string): string {
  const { kind, objectKey } = parseWorkKey(key)
  if (kind === 'node' || kind === 'nixnode') return NODES
  return kind === 'namespace' ? objectKey : namespaceOf(objectKey)
}

/** No namespace has this name. */
const NODES = ''
