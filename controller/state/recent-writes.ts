/** How long a write counts if the watch does not report it, in milliseconds. */
const LIFE_MS = 10_000

/** Objects as they were just written, until the watch has caught up. They prevent repeated decisions. */
export interface RecentWrites<T> {
  put(key: string, value: T): void
  get(key: string): T | undefined
  forget(key: string): void
}

/** `onExpire` is called if the watch did not report the write in time, for example because the object was removed. */
export function createRecentWrites<T>(onExpire: (key: string) => void): RecentWrites<T> {
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
