import { TextDecoder } from 'node:util'

/**
 * The lines of a byte stream, without line ends. Longer lines are cut at `maxLength` characters. Holds one chunk and
 * one line at a time, and reads only as fast as the caller consumes.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, maxLength: number): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of chunks) {
    const pieces = decoder.decode(chunk, { stream: true }).split('\n')
    const last = pieces.pop() ?? ''
    for (const piece of pieces) {
      yield (pending + piece).slice(0, maxLength)
      pending = ''
    }
    if (pending.length < maxLength) pending += last
  }
  if (pending !== '') yield pending.slice(0, maxLength)
}
