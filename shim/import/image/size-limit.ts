import { imageTooLarge } from './errors.ts'

/** Bytes that each file, folder or link counts in addition to its content, since a disk has room for a limited number. */
export const ENTRY_BYTES = 4096

/** Counts the decompressed bytes of an image's layers against the limit of the rule. */
export interface SizeLimit {
  /** Throws ImageTooLarge. */
  add(bytes: number): void
  /** A separate count that begins with what this one has left. */
  part(): SizeLimit
  /** Room for as many entries as the rest of the limit allows. Entries that are taken do not count here. */
  entryRoom(): EntryRoom
}

export function createSizeLimit(maxBytes: number, rest = maxBytes): SizeLimit {
  let left = rest
  return {
    add(bytes) {
      left -= bytes
      if (left < 0) throw imageTooLarge(maxBytes)
    },
    part: () => createSizeLimit(maxBytes, left),
    entryRoom: () => roomFor(Math.floor(left / ENTRY_BYTES), maxBytes),
  }
}

/** How many entries may be made. All threads share the count, so that no messages are needed. */
export interface EntryRoom {
  /** One number, in memory that all threads share. */
  readonly taken: Int32Array
  readonly most: number
  /** The rule's limit, for an error message. */
  readonly maxBytes: number
}

/** Throws ImageTooLarge. */
export type CountEntries = (count: number) => void

/** Half of what the number can hold, since it is added to before it is checked. */
const MOST = 2 ** 30

export function roomFor(entries: number, maxBytes: number): EntryRoom {
  const taken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  return { taken, most: Math.min(entries, MOST), maxBytes }
}

/** To be called before the entries are made. Throws ImageTooLarge. */
export function takeEntries({ taken, most, maxBytes }: EntryRoom, count: number): void {
  if (Atomics.add(taken, 0, count) + count > most) throw imageTooLarge(maxBytes)
}

export function takenOf({ taken }: EntryRoom): number {
  return Atomics.load(taken, 0)
}
