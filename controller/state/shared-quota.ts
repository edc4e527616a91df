/** A limited set of keys, of which each group may use only a part. */
export interface SharedQuota {
  has(key: string): boolean
  /** Whether it contains the key, or could add it. */
  canHold(key: string): boolean
  add(key: string): void
  delete(key: string): void
}

export interface SharedQuotaOptions {
  readonly most: number
  readonly maxPerGroup: number
  readonly groupOf: (key: string) => string
}

export function createSharedQuota({ most, maxPerGroup, groupOf }: SharedQuotaOptions): SharedQuota {
  const keys = new Set<string>()
  const shares = new Map<string, number>()

  const shareOf = (key: string) => shares.get(groupOf(key)) ?? 0

  return {
    has: key => keys.has(key),
    canHold: key => keys.has(key) || (keys.size < most && shareOf(key) < maxPerGroup),
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
