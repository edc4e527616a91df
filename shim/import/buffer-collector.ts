/**
 * Buffers lie outside of the heap and its limit: V8 leaves 64 MB of those that nobody needs any more before it collects them. To
 * be called with the bytes of each that was used. Wants Node's `--expose-gc`.
 */
export function createBufferCollector(): (bytes: number) => void {
  let used = 0
  return bytes => {
    used += bytes
    if (used < COLLECTED_BYTES) return
    used = 0
    globalThis.gc?.({ type: 'minor' })
  }
}

/** A collection takes a millisecond, to decompress these ten. */
const COLLECTED_BYTES = 4 * 1024 * 1024
