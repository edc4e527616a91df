import { expect, test } from 'vitest'
import { readLines } from '../../../lib/text/lines.ts'

async function* chunksOf(texts: readonly (string | Uint8Array)[]) {
  for (const text of texts) yield typeof text === 'string' ? Buffer.from(text) : text
}

test.each([
  { chunks: [], lines: [] },
  { chunks: ['a\nb\n'], lines: ['a', 'b'] },
  { chunks: ['a', 'b\nc', '\n', 'd'], lines: ['ab', 'c', 'd'] },
  { chunks: ['\n\n'], lines: ['', ''] },
  { chunks: [Buffer.from('ä').subarray(0, 1), Buffer.from('ä\n').subarray(1)], lines: ['ä'] },
  { chunks: ['123456789012345\nx\n'], lines: ['1234567890', 'x'] },
  { chunks: ['12345678', '90123', '45\nx\n'], lines: ['1234567890', 'x'] },
  { chunks: ['1234567890123', '45'], lines: ['1234567890'] },
])('$chunks are the lines $lines', async ({ chunks, lines }) => {
  const read: string[] = []
  for await (const line of readLines(chunksOf(chunks), 10)) read.push(line)
  expect(read).toEqual(lines)
})
