import { MAX_ACTIVITIES } from './counters.ts'

/** Names of the derivations that are being built, by activity. */
export interface RunningBuilds {
  start(id: number, name: string): void
  stop(id: number): void
  name(id: number): string | undefined
  /** The one that began last of those that run. */
  latest(): string | undefined
}

export function createRunningBuilds(): RunningBuilds {
  const names = new Map<number, string>()
  let latest: string | undefined
  return {
    start(id, name) {
      if (names.size >= MAX_ACTIVITIES) return
      names.set(id, name)
      latest = name
    },
    stop(id) {
      const name = names.get(id)
      if (!names.delete(id) || name !== latest) return
      latest = [...names.values()].at(-1)
    },
    name: id => names.get(id),
    latest: () => latest,
  }
}
