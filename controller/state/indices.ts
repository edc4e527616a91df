/** Groups of keys. Each key is in at most one group. */
export interface GroupIndex {
  /** Undefined removes the key. */
  put(key: string, group: string | undefined): void
  groupOf(key: string): string | undefined
  keysIn(group: string): Iterable<string>
  /** Whether the group has a key. */
  has(group: string): boolean
}

/** Groups of keys. Each key is in any number of groups. */
export interface MultiIndex {
  /** An empty list removes the key. */
  put(key: string, groups: readonly string[]): void
  groupsOf(key: string): readonly string[]
  keysIn(group: string): Iterable<string>
  /** Whether the group has a key. */
  has(group: string): boolean
}

const NONE: readonly string[] = []

export function createMultiIndex(): MultiIndex {
  const groups = new Map<string, Set<string>>()
  const groupsOf = new Map<string, readonly string[]>()

  function takeOut(key: string, group: string): void {
    const keys = groups.get(group)
    keys?.delete(key)
    if (keys?.size === 0) groups.delete(group)
  }

  return {
    put(key, after) {
      for (const group of groupsOf.get(key) ?? NONE) takeOut(key, group)
      if (after.length === 0) groupsOf.delete(key)
      else groupsOf.set(key, after)
      for (const group of after) {
        const keys = groups.get(group)
        if (keys) keys.add(key)
        else groups.set(group, new Set([key]))
      }
    },
    groupsOf: key => groupsOf.get(key) ?? NONE,
    keysIn: group => groups.get(group) ?? NONE,
    has: group => groups.has(group),
  }
}

export function createGroupIndex(): GroupIndex {
  const index = createMultiIndex()
  const groupOf = (key: string) => index.groupsOf(key)[0]
  return {
    put(key, group) {
      // Keeps the key's position in the group.
      if (groupOf(key) !== group) index.put(key, group === undefined ? [] : [group])
    },
    groupOf,
    keysIn: index.keysIn,
    has: index.has,
  }
}

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
