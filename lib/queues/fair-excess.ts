/** Something that takes space, charged to the owners that have used it. */
export interface Holding {
  readonly owners: readonly string[]
  readonly bytes: number
  /** In milliseconds since 1970. */
  readonly usedAt: number
}

/** Limits of all items together. */
export interface Room {
  readonly count: number
  readonly bytes: number
}

interface Account<Item> {
  /** Most recently used first. */
  readonly items: Item[]
  /** An item with several owners counts for each of them in part. */
  bytes: number
  count: number
}

/**
 * Chooses the items to remove so that the rest fits. The owner that holds the most gives up its least recently used
 * items first, until the rest fits. An item goes when its last owner has given it up, and an item that is too large by
 * itself always goes. Shared items count for each owner in part, so that sharing is never a disadvantage.
 */
export function findFairExcess<Item extends Holding>(all: readonly Item[], room: Room): Item[] {
  const excess = all.filter(item => item.bytes > room.bytes)
  const items = all.filter(item => item.bytes <= room.bytes)
  const accounts = new Map<string, Account<Item>>()
  const holders = new Map(items.map(item => [item, new Set(ownersOf(item))]))
  for (const item of items.toSorted((a, b) => b.usedAt - a.usedAt)) {
    const owners = holders.get(item) ?? new Set()
    for (const owner of owners) openAccount(accounts, owner).items.push(item)
    charge(accounts, item, owners, 1)
  }
  let bytes = items.reduce((sum, item) => sum + item.bytes, 0)
  while (bytes > room.bytes || holders.size > room.count) {
    const [owner, largest] = findLargest([...accounts], bytes > room.bytes) ?? []
    const item = largest?.items.pop()
    const owners = item && holders.get(item)
    if (owner === undefined || !item || !owners) break
    charge(accounts, item, owners, -1)
    owners.delete(owner)
    charge(accounts, item, owners, 1)
    if (owners.size > 0) continue
    holders.delete(item)
    bytes -= item.bytes
    excess.push(item)
  }
  return excess
}

function ownersOf({ owners }: Holding): readonly string[] {
  return owners.length > 0 ? owners : ['']
}

function openAccount<Item>(accounts: Map<string, Account<Item>>, owner: string): Account<Item> {
  const account = accounts.get(owner) ?? { items: [], bytes: 0, count: 0 }
  accounts.set(owner, account)
  return account
}

function charge<Item extends Holding>(
  accounts: ReadonlyMap<string, Account<Item>>,
  { bytes }: Item,
  owners: ReadonlySet<string>,
  sign: 1 | -1,
): void {
  for (const owner of owners) {
    const account = accounts.get(owner)
    if (account === undefined) continue
    account.bytes += (sign * bytes) / owners.size
    account.count += sign / owners.size
  }
}

type Entry<Item> = readonly [owner: string, account: Account<Item>]

function findLargest<Item>(accounts: readonly Entry<Item>[], byBytes: boolean): Entry<Item> | undefined {
  const measure = ([, { bytes, count }]: Entry<Item>) => (byBytes ? bytes : count)
  const held = accounts.filter(([, { items }]) => items.length > 0)
  return held.reduce<Entry<Item> | undefined>(
    (largest, account) => (largest && measure(largest) >= measure(account) ? largest : account),
    undefined,
  )
}

/** The first item of the owner that has the most items: the fair one to drop when a queue is full. */
export function firstOfMost<Item>(items: readonly Item[], ownerOf: (item: Item) => string): Item | undefined {
  const groups = [...Map.groupBy(items, ownerOf).values()]
  const most = Math.max(...groups.map(({ length }) => length))
  return groups.find(({ length }) => length === most)?.[0]
}
