const KINDS = ['pod', 'build', 'namespace'] as const

/** Kind of object that a key of the work queue names. */
export type WorkKind = (typeof KINDS)[number]

/** Such as `pod:team/web`, `build:team/web-3f2a` or `namespace:team`. */
export function workKey(kind: WorkKind, objectKey: string): string {
  return `${kind}:${objectKey}`
}

export function parseWorkKey(key: string): { readonly kind: WorkKind; readonly objectKey: string } {
  const colon = key.indexOf(':')
  const kind = KINDS.find(kind => kind === key.slice(0, colon))
  if (kind === undefined) throw new TypeError(`not a work key: ${key}`)
  return { kind, objectKey: key.slice(colon + 1) }
}

/** The namespace of the object, or the namespace itself. */
export function namespaceOf(key: string): string {
  const { objectKey } = parseWorkKey(key)
  const slash = objectKey.indexOf('/')
  return slash < 0 ? objectKey : objectKey.slice(0, slash)
}
