import { setTimeout as delay } from 'node:timers/promises'

/** Leases that may still be in containerd because it, or the import, went away. Each is retried until it is gone. */
export interface LeftLeases {
  add(lease: string): void
}

export interface LeftLeasesOptions {
  /** Throws unless the lease is gone. */
  readonly end: (lease: string) => Promise<void>
  /** Before each round but the first, in milliseconds. */
  readonly pauses?: { readonly first: number; readonly most: number }
}

/** A containerd that restarts is back in seconds. */
const PAUSES = { first: 200, most: 10_000 }
/** Leases also expire by themselves, though late. */
const MAX_LEASES = 1000

export function createLeftLeases({ end, pauses = PAUSES }: LeftLeasesOptions): LeftLeases {
  const left = new Set<string>()
  let isWorking = false

  async function endAll(): Promise<void> {
    isWorking = true
    for (let pause = pauses.first; left.size > 0; pause = Math.min(pause * 2, pauses.most)) {
      for (const lease of [...left]) if (await isGone(lease)) left.delete(lease)
      if (left.size > 0) await delay(pause, undefined, { ref: false })
    }
    isWorking = false
  }

  async function isGone(lease: string): Promise<boolean> {
    try {
      await end(lease)
      return true
    } catch {
      return false
    }
  }

  return {
    add(lease) {
      left.add(lease)
      const [oldest] = left
      if (left.size > MAX_LEASES && oldest !== undefined) left.delete(oldest)
      if (!isWorking) void endAll()
    },
  }
}
