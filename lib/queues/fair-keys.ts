/** Keys that wait for their turn, in groups that take turns: of the group served longest ago, the key that came first. */
export interface FairKeys {
  /** One that waits already keeps its place. */
  add(key: string): void
  /** The next one, of a group that may have a turn. */
  take(mayTake: (group: string) => boolean): string | undefined
  readonly size: number
}

export function createFairKeys(groupOf: (key: string) => string): FairKeys {
  /** The group whose turn is next comes first. */
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
