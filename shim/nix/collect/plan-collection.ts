/** Disk space: bytes, or a share of the disk. */
export type Amount = { readonly bytes: number } | { readonly share: number }

export interface CollectionLimits {
  /** Garbage is collected when less than this is free. */
  readonly below: Amount
  /** How much is free in the end, if there is enough garbage. */
  readonly upTo: Amount
}

/** Space on a disk, in bytes. */
export interface DiskRoom {
  readonly total: number
  readonly free: number
}

/** Bytes of a disk of that size. */
export function bytesOf(amount: Amount, total: number): number {
  return 'bytes' in amount ? amount.bytes : Math.floor(amount.share * total)
}

/** How many bytes Nix should free now; undefined if there is enough space. */
export function planCollection({ total, free }: DiskRoom, { below, upTo }: CollectionLimits): number | undefined {
  if (free >= bytesOf(below, total)) return undefined
  // Of different kinds, `upTo` may be the smaller one on this disk.
  return Math.max(bytesOf(upTo, total), bytesOf(below, total)) - free
}
