/**
 * Buffers lie outside of the heap and its limit: V8 leaves 64 MB of those that nobody needs any more before it collects them. To
 * be called with the bytes of each that was used. Wants Node's `--expose-gc`.
 */
export function createBufferCollector(): (bytes: number) => void {
  let young = 0
  let all = 0
  return bytes => {
    young += bytes
    all += bytes
    if (young < YOUNG_BYTES) return
    young = 0
    globalThis.gc?.({ type: all < ALL_BYTES ? 'minor' : 'major' })
    if (all >= ALL_BYTES) all = 0
  }
}

/** A collection of what is young takes 0.2 ms, to decompress this a millisecond (2026-11-27). */
const YOUNG_BYTES = 1024 * 1024
/** Some grow old nevertheless. */
const ALL_BYTES = 16 * 1024 * 1024
