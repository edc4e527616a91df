/** Groups of keys that give access to the newest keys of each group. Each key is in at most one group. */
export interface NewestIndex {
  /** Undefined removes the key. */
  put(key: string, place: Place | undefined): void
  groupOf(key: string): string | undefined
  /** Newest first. */
  newestIn(group: string): readonly string[]
}

interface Place {
  readonly group: string
  readonly time: number
}

interface Group {
  readonly keys: Set<string>
  newest: readonly string[]
}

/** Bounds the cost of large groups: a group is scanned only when one of its newest keys is removed. */
export function createNewestIndex(count: number): NewestIndex {
  const groups = new Map<string, Group>()
  const places = new Map<string, Place>()

  const timeOf = (key: string) => places.get(key)?.time ?? 0
  const newerFirst = (a: string, b: string) => timeOf(b) - timeOf(a) || (a < b ? -1 : 1)

  function among(newest: readonly string[], key: string): readonly string[] {
    const oldest = newest[count - 1]
    if (oldest !== undefined && newerFirst(oldest, key) < 0) return newest
    return [...newest, key].sort(newerFirst).slice(0, count)
  }

  function takeOut(key: string, name: string): void {
    const group = groups.get(name)
    places.delete(key)
    group?.keys.delete(key)
    if (group?.keys.size === 0) groups.delete(name)
    else if (group?.newest.includes(key)) group.newest = [...group.keys].reduce<readonly string[]>(among, [])
  }

  return {
    put(key, place) {
      const before = places.get(key)
      if (before?.group === place?.group && before?.time === place?.time) return
      if (before) takeOut(key, before.group)
      if (!place) return
      places.set(key, place)
      const group = groups.get(place.group) ?? { keys: new Set(), newest: [] }
      group.keys.add(key)
      group.newest = among(group.newest, key)
      groups.set(place.group, group)
    },
    groupOf: key => places.get(key)?.group,
    newestIn: group => groups.get(group)?.newest ?? [],
  }
}
