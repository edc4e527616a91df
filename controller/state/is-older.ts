interface Versioned {
  readonly uid: string
  readonly resourceVersion: string
}

/** Whether the watch tells of what was before that write. Kubernetes has resource versions of one kind grow. */
export function isOlder(told: Versioned | undefined, written: Versioned | undefined): boolean {
  if (told === undefined || written === undefined || told.uid !== written.uid) return false
  const [one, other] = [told.resourceVersion, written.resourceVersion]
  return one.length < other.length || (one.length === other.length && one < other)
}
