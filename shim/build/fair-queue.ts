/** Items of many owners that wait for their turn: owners take turns, each one's items go first come, first served. */
export interface FairQueue<Item> {
  add(owner: string, item: Item): void
  /** Takes the one whose turn it is; its owner goes to the end of the line. */
  take(): Item | undefined
  /** Gives up a place. False when it is not there. */
  remove(item: Item): boolean
  /** In the order in which they would be taken. */
  inOrder(): Item[]
}

export function createFairQueue<Item>(): FairQueue<Item> {
  /** Owners in the order of their turns; none of the lists is empty. */
  const waiting = new Map<string, Item[]>()
  return {
    add(owner, item) {
      const items = waiting.get(owner)
      if (items) items.push(item)
      else waiting.set(owner, [item])
    },
    take() {
      const [next] = waiting
      if (next === undefined) return undefined
      const [owner, [item, ...rest]] = next
      waiting.delete(owner)
      if (rest.length > 0) waiting.set(owner, rest)
      return item
    },
    remove(item) {
      for (const [owner, items] of waiting) {
        const index = items.indexOf(item)
        if (index < 0) continue
        items.splice(index, 1)
        if (items.length === 0) waiting.delete(owner)
        return true
      }
      return false
    },
    inOrder() {
      const lists = [...waiting.values()]
      const rounds = Math.max(0, ...lists.map(items => items.length))
      return Array.from({ length: rounds }, (_, round) => lists.flatMap(items => items.slice(round, round + 1))).flat()
    },
  }
}
