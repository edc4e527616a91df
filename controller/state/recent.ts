/** How long a written object counts, in milliseconds, when the watch does not tell of it. */
const LIFE_MS = 10_000

/** Objects as they were just written, until the watch has caught up: so that nothing is decided twice. */
export interface Recent<T> {
  put(key: string, value: T): void
  get(key: string): T | undefined
  forget(key: string): void
}

/** `onExpire`: the watch did not tell of it, as it does when it was removed at once, and what was written is forgotten. */
export function createRecent<T>(onExpire: (key: string) => void): Recent<T> {
  const entries = new Map<string, { readonly value: T; readonly timer: NodeJS.Timeout }>()

  function forget(key: string): void {
    clearTimeout(entries.get(key)?.timer)
    entries.delete(key)
  }

  return {
    put(key, value) {
      forget(key)
      const expire = () => {
        entries.delete(key)
        onExpire(key)
      }
      entries.set(key, { value, timer: setTimeout(expire, LIFE_MS).unref() })
    },
    get: key => entries.get(key)?.value,
    forget,
  }
}
