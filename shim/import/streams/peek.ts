/** The first bytes of a stream – `length` of them, or fewer when it ends before – and the whole stream, unread. */
export async function peek(
  source: AsyncIterable<Buffer>,
  length: number,
): Promise<{ head: Buffer; all: AsyncIterable<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]()
  const chunks: Buffer[] = []
  let gathered = 0
  while (gathered < length) {
    const { done, value } = await iterator.next()
    if (done) break
    chunks.push(value)
    gathered += value.length
  }
  const [first = Buffer.alloc(0)] = chunks
  return { head: chunks.length === 1 ? first : Buffer.concat(chunks), all: resume(chunks, iterator) }
}

async function* resume(chunks: readonly Buffer[], iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* chunks
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  } finally {
    await iterator.return?.()
  }
}
