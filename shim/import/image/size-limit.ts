import { type EntryRoom, roomFor } from './entry-room.ts'
import { imageTooLarge } from './image-too-large.ts'

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
