/** On whose account something runs. It may change: equal work is shared, so others join and leave. */
export interface Owners {
  /** Namespaces, at least one. */
  readonly current: () => readonly string[]
  /** Calls back after each change. Returns how to stop that. */
  readonly onChange: (listener: () => void) => () => void
}

export function ownedBy(owner: string): Owners {
  return { current: () => [owner], onChange: () => () => {} }
}
