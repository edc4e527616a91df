import { readSync } from 'node:fs'
import { MESSAGE_BYTES } from '../../containerd/services/constants.ts'
import { BLOCK_BYTES } from './header.ts'

/** Many small files, or a part of a large one. */
export const CHUNK_BYTES = MESSAGE_BYTES

/** Chunks in the ring of memory through which a thread hands on a tar. It is reused all the time, and leaves no garbage. */
export const RING_CHUNKS = 4

/** The length of a tar is a multiple of this. */
const RECORD_BYTES = 20 * BLOCK_BYTES

/** Gathers a tar in chunks. A chunk is valid until the next one is asked for, as its memory is reused. */
export class TarChunks {
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  /** Used bytes of the chunk; whole blocks between calls. */
  #used = 0
  #bytesBefore = 0;

  /** Takes whole blocks. */
  *write(blocks: Buffer): Generator<Buffer> {
    for (let done = 0; done < blocks.length; ) {
      if (this.#isFull()) yield* this.#handOn()
      const count = blocks.copy(this.#chunk, this.#used, done)
      this.#used += count
      done += count
    }
  }

  /** Takes a file up to its end, and pads the last block. Returns whether the file has `size` bytes. */
  *read(file: number, size: number): Generator<Buffer, boolean> {
    for (let left = size; ; ) {
      if (this.#isFull()) yield* this.#handOn()
      // One byte more than expected: a short read reveals the end without another read.
      const wanted = Math.min(left + 1, CHUNK_BYTES - this.#used)
      const count = readSync(file, this.#chunk, this.#used, wanted, null)
      left -= count
      if (left < 0) return false
      this.#used += count
      if (count === wanted) continue
      this.#fillBlock()
      return left === 0
    }
  }

  /** Ends the tar: two empty blocks, and padding of the last record. */
  *end(): Generator<Buffer> {
    yield* this.write(Buffer.alloc(2 * BLOCK_BYTES))
    const bytes = this.#bytesBefore + this.#used
    yield* this.write(Buffer.alloc(Math.ceil(bytes / RECORD_BYTES) * RECORD_BYTES - bytes))
    yield* this.#handOn()
  }

  #isFull(): boolean {
    return this.#used === CHUNK_BYTES
  }

  *#handOn(): Generator<Buffer> {
    yield this.#chunk.subarray(0, this.#used)
    this.#bytesBefore += this.#used
    this.#used = 0
  }

  #fillBlock(): void {
    const end = Math.ceil(this.#used / BLOCK_BYTES) * BLOCK_BYTES
    this.#chunk.fill(0, this.#used, end)
    this.#used = end
  }
}
