import { closeSync, constants as fs, ftruncateSync, openSync, readSync, type Stats, writeSync } from 'node:fs'
import type { Path } from './placing.ts'

/** Linux counts in blocks of 512 bytes. */
export function isSparse({ blocks, size }: Stats): boolean {
  return blocks * 512 < size
}

const STEP_BYTES = 1024 * 1024

/** Copies a file, leaving holes where there are only zeros. */
export function copySparse(source: Path, target: Path): void {
  const from = openSync(source, fs.O_RDONLY | fs.O_NOFOLLOW)
  const to = openSync(target, fs.O_WRONLY | fs.O_CREAT | fs.O_EXCL, 0o600)
  try {
    const buffer = Buffer.allocUnsafe(STEP_BYTES)
    const zeros = Buffer.alloc(STEP_BYTES)
    let offset = 0
    for (;;) {
      const read = readSync(from, buffer, 0, STEP_BYTES, offset)
      if (read === 0) break
      if (buffer.compare(zeros, 0, read, 0, read) !== 0) writeSync(to, buffer, 0, read, offset)
      offset += read
    }
    ftruncateSync(to, offset)
  } finally {
    closeSync(from)
    closeSync(to)
  }
}
