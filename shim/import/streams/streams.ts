/** Bytes as a stream of one chunk. */
export async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
