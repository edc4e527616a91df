/** A limited set of keys, of which each group may use only a part. */
export interface SharedRoom {
  has(key: string): boolean
  /** Whether it contains the key, or could add it. */
  mayHave(key: string): boolean
  add(key: string): void
  delete(key: string): void
}

export interface SharedRoomPlan {
  readonly most: number
  readonly mostOfGroup: number
  readonly groupOf: (key: string) => string
}

export function createSharedRoom({ most, mostOfGroup, groupOf }: SharedRoomPlan): SharedRoom {
  const keys = new Set<string>()
  const shares = new Map<string, number>()

  const shareOf = (key: string) => shares.get(groupOf(key)) ?? 0

  return {
    has: key => keys.has(key),
    mayHave: key => keys.has(key) || (keys.size < most && shareOf(key) < mostOfGroup),
    add(key) {
      if (keys.has(key)) return
      keys.add(key)
      shares.set(groupOf(key), shareOf(key) + 1)
    },
    delete(key) {
      if (!keys.delete(key)) return
      const left = shareOf(key) - 1
      if (left === 0) shares.delete(groupOf(key))
      else shares.set(groupOf(key), left)
    },
  }
}
