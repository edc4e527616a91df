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
  /** Missing if the file system makes them as it needs them. */
  readonly inodes?: { readonly total: number; readonly free: number }
}

/** Bytes of a disk of that size. */
export function bytesOf(amount: Amount, total: number): number {
  return 'bytes' in amount ? amount.bytes : Math.floor(amount.share * total)
}

/** The share of a disk of that size, which is low on inodes at the same share of them. */
export function shareOf(amount: Amount, total: number): number {
  return 'share' in amount ? amount.share : Math.min(1, amount.bytes / total)
}

/** Nix counts in bytes. */
const LEAST_BYTES = 1024 * 1024

/**
 * How many bytes Nix should free now; undefined if there is enough space. The kubelet also evicts pods if inodes run out: they are low
 * at the same share of the disk, and each is worth the mean size of a file.
 */
export function planCollection(room: DiskRoom, { below, upTo }: CollectionLimits): number | undefined {
  const bytes = missing(room, bytesOf(below, room.total), bytesOf(upTo, room.total))
  const inodes = room.inodes && missingInodes(room.inodes, shareOf(below, room.total), shareOf(upTo, room.total))
  if (room.inodes === undefined || inodes === undefined) return bytes
  const meanBytes = (room.total - room.free) / Math.max(1, room.inodes.total - room.inodes.free)
  return Math.max(bytes ?? LEAST_BYTES, Math.ceil(inodes * meanBytes))
}

function missingInodes({ total, free }: DiskRoom, below: number, upTo: number): number | undefined {
  return missing({ total, free }, below * total, upTo * total)
}

function missing({ free }: DiskRoom, below: number, upTo: number): number | undefined {
  // Of different kinds, `upTo` may be the smaller one on this disk.
  return free >= below ? undefined : Math.max(upTo, below) - free
}

/** Whether Nix, which collects by itself while it builds with less than `minFree` bytes, does so before the shim would. */
export function isNixFirst(minFree: number, { below }: CollectionLimits, total: number): boolean {
  return minFree > 0 && minFree >= bytesOf(below, total)
}
