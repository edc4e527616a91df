import { compareVersions } from '../../kube/resources/metadata.ts'

/** How long a write counts if the watch does not report it, in milliseconds. */
const LIFE_MS = 10_000

interface Versioned {
  readonly uid: string
  readonly resourceVersion: string
}

/** Objects as they were just written, until the watch has caught up. They prevent repeated decisions. */
export interface RecentWrites<T> {
  put(key: string, value: T): void
  get(key: string): T | undefined
  /** Forgets the write unless the observed object is from before it. Undefined: the object is gone. */
  observe(key: string, observed: T | undefined): void
}

/** `onExpire` is called if the watch did not report the write in time, for example because the object was removed. */
export function createRecentWrites<T extends Versioned>(onExpire: (key: string) => void): RecentWrites<T> {
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
    observe(key, observed) {
      if (!isStale(observed, entries.get(key)?.value)) forget(key)
    },
  }
}

/** Whether the observed version is from before the write. */
function isStale(observed: Versioned | undefined, written: Versioned | undefined): boolean {
  if (observed === undefined || written === undefined || observed.uid !== written.uid) return false
  return compareVersions(observed, written) < 0
}
