import { type ErrorCode, ShimError } from '../errors.ts'

/** Leases that failed imports may have left in containerd. */
export interface LeftLeases {
  ids(): string[]
  /** An import failed with that error. */
  failed(lease: string, error: unknown): void
  /** They are gone from containerd. */
  ended(leases: readonly string[]): void
}

/** After any other failure the import has ended its lease itself. */
const LEAVING: readonly ErrorCode[] = ['ContainerdAway', 'ImportInterrupted']

export function createLeftLeases(): LeftLeases {
  const left = new Set<string>()
  return {
    ids: () => [...left],
    failed(lease, error) {
      if (error instanceof ShimError && LEAVING.includes(error.code)) left.add(lease)
    },
    ended(leases) {
      for (const lease of leases) left.delete(lease)
    },
  }
}
