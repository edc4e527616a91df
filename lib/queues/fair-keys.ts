/**
 * A queue of keys that serves its groups in turn: first the group that was served longest ago, and of that group the
 * oldest key.
 */
export interface FairKeys {
  /** A key that is already queued keeps its place. */
  add(key: string): void
  /** Removes the next key of the groups that `mayTake` accepts. */
  take(mayTake: (group: string) => boolean): string | undefined
  readonly size: number
}

export function createFairKeys(groupOf: (key: string) => string): FairKeys {
  /** The group to serve next comes first. */
  const groups = new Map<string, Set<string>>()
  let size = 0

  return {
    add(key) {
      const group = groupOf(key)
      const keys = groups.get(group) ?? new Set()
      if (keys.has(key)) return
      groups.set(group, keys.add(key))
      size += 1
    },
    take(mayTake) {
      for (const [group, keys] of groups) {
        if (!mayTake(group)) continue
        groups.delete(group)
        const [key] = keys
        if (key === undefined) continue
        keys.delete(key)
        if (keys.size > 0) groups.set(group, keys)
        size -= 1
        return key
      }
      return undefined
    },
    get size() {
      return size
    },
  }
}
