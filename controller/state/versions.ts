interface Versioned {
  readonly uid: string
  readonly resourceVersion: string
}

/** Whether the watch tells of what was before that write. */
export function isOlder(told: Versioned | undefined, written: Versioned | undefined): boolean {
  if (told === undefined || written === undefined || told.uid !== written.uid) return false
  return compareVersions(told, written) < 0
}

type Version = Pick<Versioned, 'resourceVersion'>

/** Negative if `a` was written before `b`. Kubernetes has resource versions of one kind grow. */
export function compareVersions({ resourceVersion: a }: Version, { resourceVersion: b }: Version): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}
