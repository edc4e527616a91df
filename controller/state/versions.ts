interface Versioned {
  readonly uid: string
  readonly resourceVersion: string
}

/** Whether the observed version is from before the write. */
export function isOlder(observed: Versioned | undefined, written: Versioned | undefined): boolean {
  if (observed === undefined || written === undefined || observed.uid !== written.uid) return false
  return compareVersions(observed, written) < 0
}

type Version = Pick<Versioned, 'resourceVersion'>

/** Negative if `a` was written before `b`. In Kubernetes, resource versions of one kind increase. */
export function compareVersions({ resourceVersion: a }: Version, { resourceVersion: b }: Version): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}
