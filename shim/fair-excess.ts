/** Something that takes room, on account of those who have used it. */
export interface Holding {
  readonly owners: readonly string[]
  readonly bytes: number
  /** In milliseconds since 1970. */
  readonly usedAt: number
}

/** What all of them together may take. */
export interface Room {
  readonly count: number
  readonly bytes: number
}

interface Account<Item> {
  /** The one that was used last comes first. */
  readonly items: Item[]
  bytes: number
}

/**
 * Which of them go, so that the others have room: whoever holds the most gives up what it used longest ago, until there is room,
 * and what nobody holds any more goes. So nobody's grow at the cost of others who hold less. What is too big by itself goes alone.
 */
export function findFairExcess<Item extends Holding>(all: readonly Item[], room: Room): Item[] {
  const excess = all.filter(item => item.bytes > room.bytes)
  const items = all.filter(item => item.bytes <= room.bytes)
  const accounts = openAccounts(items)
  const holders = new Map(items.map(item => [item, new Set(ownersOf(item)).size]))
  let bytes = items.reduce((sum, item) => sum + item.bytes, 0)
  while (bytes > room.bytes || holders.size > room.count) {
    const largest = findLargest([...accounts.values()], bytes > room.bytes)
    const item = largest?.items.pop()
    if (!largest || !item) break
    largest.bytes -= item.bytes
    const left = (holders.get(item) ?? 1) - 1
    holders.set(item, left)
    if (left > 0) continue
    holders.delete(item)
    bytes -= item.bytes
    excess.push(item)
  }
  return excess
}

function ownersOf({ owners }: Holding): readonly string[] {
  return owners.length > 0 ? owners : ['']
}

function openAccounts<Item extends Holding>(items: readonly Item[]): Map<string, Account<Item>> {
  const accounts = new Map<string, Account<Item>>()
  for (const item of items.toSorted((a, b) => b.usedAt - a.usedAt)) {
    for (const owner of new Set(ownersOf(item))) {
      const account = accounts.get(owner) ?? { items: [], bytes: 0 }
      account.items.push(item)
      account.bytes += item.bytes
      accounts.set(owner, account)
    }
  }
  return accounts
}

function findLargest<Item>(accounts: readonly Account<Item>[], byBytes: boolean): Account<Item> | undefined {
  const measure = ({ bytes, items }: Account<Item>) => (byBytes ? bytes : items.length)
  const held = accounts.filter(({ items }) => items.length > 0)
  return held.reduce<Account<Item> | undefined>(
    (largest, account) => (largest && measure(largest) >= measure(account) ? largest : account),
    undefined,
  )
}
