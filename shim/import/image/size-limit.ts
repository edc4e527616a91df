import { imageTooLarge } from './errors.ts'

/** How many entries may be made. All threads that make them take of the same count, and so none has to be told of it. */
export interface EntryRoom {
  /** One number, in memory that all threads share. */
  readonly taken: Int32Array
  readonly most: number
  /** What the rule allows, for a message. */
  readonly maxBytes: number
}

/** Throws ImageTooLarge. */
export type CountEntries = (count: number) => void

/** Half of what the number can be: those who take too much still add to it. */
const MOST = 2 ** 30

/** What a file, folder or link takes of containerd's disk beside its bytes: a disk has room for so many and no more. */
export const ENTRY_BYTES = 4096

/** Counts what the layers of an image have, decompressed, against the most that the rule allows. */
export interface SizeLimit {
  /** Throws ImageTooLarge. */
  add(bytes: number): void
  /** Another count, of what this one has left. */
  part(): SizeLimit
  /** For as many entries as there are bytes left for. What is taken of it is not taken of this count. */
  room(): EntryRoom
}

export function createSizeLimit(maxBytes: number, rest = maxBytes): SizeLimit {
  let left = rest
  return {
    add(bytes) {
      left -= bytes
      if (left < 0) throw imageTooLarge(maxBytes)
    },
    part: () => createSizeLimit(maxBytes, left),
    room: () => roomFor(Math.floor(left / ENTRY_BYTES), maxBytes),
  }
}

export function roomFor(entries: number, maxBytes: number): EntryRoom {
  const taken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  return { taken, most: Math.min(entries, MOST), maxBytes }
}

/** Before they are made. Throws ImageTooLarge. */
export function takeEntries({ taken, most, maxBytes }: EntryRoom, count: number): void {
  if (Atomics.add(taken, 0, count) + count > most) throw imageTooLarge(maxBytes)
}

export function takenOf({ taken }: EntryRoom): number {
  return Atomics.load(taken, 0)
}
