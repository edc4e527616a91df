import { imageTooLarge } from './image-too-large.ts'

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
