/** On whose account something runs. It may change: equal work is shared, so others join and leave. */
export interface Owners {
  /** Namespaces, at least one. */
  readonly current: () => readonly string[]
  /** Calls back after each change. Returns how to stop that. */
  readonly onChange: (listener: () => void) => () => void
}

/** Something that waits for a place. */
export interface Waiter {
  readonly owners: Owners
  /** Of those with the same key, one runs at a time. */
  readonly key: string | undefined
}

/** A waiter whose turn it is, and the owner that its place counts for. */
export interface Turn<Item> {
  readonly waiter: Item
  readonly owner: string
}

/** Decides who is next, by what each owner holds: the one with the fewest places, then the one served longest ago. */
export interface FairOrder<Item extends Waiter> {
  /** Of those who wait, in the order in which they came; undefined when none of them may begin. */
  next(waiting: readonly Item[]): Turn<Item> | undefined
  begin(turn: Turn<Item>): void
  end(turn: Turn<Item>): void
  /** In the order in which they are likely to begin. */
  inOrder(waiting: readonly Item[]): Item[]
}

interface Account {
  readonly held: number
  /** Number of the last turn; 0 before the first one. */
  readonly served: number
}

const UNKNOWN: Account = { held: 0, served: 0 }

/** More are forgotten, those that were served longest ago first, unless they hold a place. */
const MAX_ACCOUNTS = 10_000

/** No owner holds more than `most` places at a time. */
export function createFairOrder<Item extends Waiter>(most: number): FairOrder<Item> {
  const accounts = new Map<string, Account>()
  const busy = new Set<string>()
  let turns = 0
  const accountOf = (owner: string) => accounts.get(owner) ?? UNKNOWN

  function makeRoom(): void {
    if (accounts.size <= MAX_ACCOUNTS) return
    const [idle] = [...accounts].find(([, { held }]) => held === 0) ?? []
    if (idle !== undefined) accounts.delete(idle)
  }

  function candidates(waiting: readonly Item[]) {
    const free = waiting.filter(({ key }) => key === undefined || !busy.has(key))
    const turnsOf = (waiter: Item) => waiter.owners.current().map(owner => ({ waiter, owner, ...accountOf(owner) }))
    return free.flatMap(turnsOf).filter(({ held }) => held < most)
  }

  return {
    next(waiting) {
      return first(candidates(waiting))
    },
    begin({ waiter: { key }, owner }) {
      turns += 1
      const { held } = accountOf(owner)
      // The ones served last stand at the end.
      accounts.delete(owner)
      accounts.set(owner, { held: held + 1, served: turns })
      if (key !== undefined) busy.add(key)
      makeRoom()
    },
    end({ waiter: { key }, owner }) {
      const { held, served } = accountOf(owner)
      accounts.set(owner, { held: held - 1, served })
      if (key !== undefined) busy.delete(key)
    },
    inOrder(waiting) {
      const before = new Map<string, number>()
      const placed = waiting.map(waiter => {
        const turnOf = (owner: string) => {
          const { held, served } = accountOf(owner)
          return { waiter, owner, held: held + (before.get(owner) ?? 0), served }
        }
        const turn = first(waiter.owners.current().map(turnOf)) ?? { waiter, owner: '', ...UNKNOWN }
        before.set(turn.owner, (before.get(turn.owner) ?? 0) + 1)
        return turn
      })
      return placed.sort(compare).map(({ waiter }) => waiter)
    },
  }
}

/** The one that came first, where nothing else decides. */
function first<Item extends Account>(items: readonly Item[]): Item | undefined {
  return items.reduce<Item | undefined>((best, item) => (best && compare(best, item) <= 0 ? best : item), undefined)
}

function compare(one: Account, other: Account): number {
  return one.held - other.held || one.served - other.served
}

export function ownedBy(owner: string): Owners {
  return { current: () => [owner], onChange: () => () => {} }
}
