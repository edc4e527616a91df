import { namespaceOf } from '../../kube/mirror.ts'

const KINDS = ['pod', 'build', 'namespace', 'node', 'nixnode', 'nodebuilds'] as const

/** Kind of object that a key of the work queue names. */
export type WorkKind = (typeof KINDS)[number]

/**
 * Such as `pod:team/web`, `build:team/web-3f2a`, `namespace:team`, `node:worker-1`, `nixnode:worker-1` or
 * `nodebuilds:worker-1`.
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

/**
 * The group in which keys take turns: the namespace, or all nodes together. The builds and the released pods
 * of nodes do not wait for the rest, such as one more namespace in thousands of NixNodes.
 */
export function groupOfWork(key: string): string {
  const { kind, objectKey } = parseWorkKey(key)
  switch (kind) {
    case 'nodebuilds':
      return NODE_BUILDS
    case 'node':
    case 'nixnode':
      return NODES
    case 'namespace':
      return objectKey
    case 'pod':
    case 'build':
      return namespaceOf(objectKey)
  }
}

/** No namespaces have these names. */
const NODES = ''
const NODE_BUILDS = '/'
