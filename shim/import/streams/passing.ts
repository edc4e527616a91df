/** The same chunks; each is shown before it goes on. What `onChunk` throws ends them. */
export async function* passing(
  source: AsyncIterable<Buffer>,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    onChunk(chunk)
    yield chunk
  }
}
