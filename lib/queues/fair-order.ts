/**
 * The namespaces that a task is charged to. They may change, as equal tasks are shared and their callers come and go.
 */
export interface Owners {
  /** At least one namespace. */
  readonly current: () => readonly string[]
  /** Calls the listener after each change. Returns a function that unsubscribes. */
  readonly onChange: (listener: () => void) => () => void
}

/** A task that waits for a place. */
export interface WaitingTask {
  readonly owners: Owners
  /** Of the tasks with the same key, one runs at a time. */
  readonly key: string | undefined
}

/** The next task to run, and the owner that its place is charged to. */
export interface Turn<Item> {
  readonly waiter: Item
  readonly owner: string
}

/**
 * Decides which task runs next: that of the owner with the fewest places, then of the owner that was served longest
 * ago.
 */
export interface FairOrder<Item extends WaitingTask> {
  /** `waiting` is in order of arrival. Undefined if none of them may begin. */
  next(waiting: readonly Item[]): Turn<Item> | undefined
  begin(turn: Turn<Item>): void
  end(turn: Turn<Item>): void
  /** In the order in which they will probably begin. */
  inOrder(waiting: readonly Item[]): Item[]
}

interface Account {
  readonly held: number
  /** Number of the last turn; 0 if there was none. */
  readonly served: number
}

const UNKNOWN: Account = { held: 0, served: 0 }

/** Beyond this number the accounts that were served longest ago are forgotten, unless they hold a place. */
const MAX_ACCOUNTS = 10_000

/** No owner holds more than `most` places. */
export function createFairOrder<Item extends WaitingTask>(most: number): FairOrder<Item> {
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
      // Keeps the most recently served accounts at the end.
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

/** The first of the best ones. */
function first<Item extends Account>(items: readonly Item[]): Item | undefined {
  return items.reduce<Item | undefined>((best, item) => (best && compare(best, item) <= 0 ? best : item), undefined)
}

function compare(one: Account, other: Account): number {
  return one.held - other.held || one.served - other.served
}

/** Owners that never change. */
export function ownedBy(...owners: readonly string[]): Owners {
  return { current: () => owners, onChange: () => () => {} }
}
