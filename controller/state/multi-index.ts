/** Groups of keys. Each key is in at most one group. */
export interface GroupIndex {
  /** Undefined removes the key. */
  put(key: string, group: string | undefined): void
  groupOf(key: string): string | undefined
  keysIn(group: string): Iterable<string>
}

/** Groups of keys. Each key is in any number of groups. */
export interface MultiIndex {
  /** An empty list removes the key. */
  put(key: string, groups: readonly string[]): void
  groupsOf(key: string): readonly string[]
  keysIn(group: string): Iterable<string>
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
  }
}
