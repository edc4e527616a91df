/** Keys in groups; each key is in one group or none. */
export interface GroupIndex {
  /** undefined takes the key out. */
  put(key: string, group: string | undefined): void
  groupOf(key: string): string | undefined
  keysIn(group: string): Iterable<string>
}

export function createGroupIndex(): GroupIndex {
  const groups = new Map<string, Set<string>>()
  const groupOf = new Map<string, string>()

  function takeOut(key: string, group: string): void {
    const keys = groups.get(group)
    keys?.delete(key)
    if (keys?.size === 0) groups.delete(group)
    groupOf.delete(key)
  }

  return {
    put(key, group) {
      const before = groupOf.get(key)
      if (before === group) return
      if (before !== undefined) takeOut(key, before)
      if (group === undefined) return
      const keys = groups.get(group) ?? new Set()
      groups.set(group, keys.add(key))
      groupOf.set(key, group)
    },
    groupOf: key => groupOf.get(key),
    keysIn: group => groups.get(group) ?? [],
  }
}
