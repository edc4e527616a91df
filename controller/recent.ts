/** How long a written object counts, in milliseconds, when the watch does not tell of it. */
const LIFE_MS = 5_000

/** Objects as they were just written, until the watch has caught up: so that nothing is decided twice. */
export interface Recent<T> {
  put(key: string, value: T): void
  get(key: string): T | undefined
  /** The watch told of it. */
  forget(key: string): void
}

export function createRecent<T>(now: () => number = Date.now): Recent<T> {
  const values = new Map<string, { readonly value: T; readonly until: number }>()
  return {
    put(key, value) {
      values.set(key, { value, until: now() + LIFE_MS })
    },
    get(key) {
      const entry = values.get(key)
      if (entry === undefined || entry.until > now()) return entry?.value
      values.delete(key)
      return undefined
    },
    forget: key => {
      values.delete(key)
    },
  }
}
