import { expect, test } from 'vitest'
import { readLines } from '../../../lib/text/lines.ts'
import { cleanText, shorten } from '../../../lib/text/text.ts'

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

test.each([
  ['\u001b[31;1merror:\u001b[0m x', 'error: x'],
  ['\u001b]8;;http://x\u0007link\u001b]8;;\u0007', 'link'],
  ['a\tb\nc', 'a\tb\nc'],
  ['a\r\nb\rc', 'a\nb\nc'],
  ['a\u0000b\u0007c\u007f\u009b', 'abc'],
  ['täglich', 'täglich'],
  ['a\u202eb\u2066c', 'abc'],
  ['a\u001b[31mb\u001b[', 'ab'],
  ['a\u001b]0;title\nb', 'a\nb'],
  ['a\u001b]8;;x\u001b\\b', 'ab'],
  ['a\u009b31mb\u0090dcs\u009cc', 'abc'],
  ['a\u001bcb\u001b(Bd', 'abd'],
  ['a\u001b[3\u0000mb', 'amb'],
])('%j is cleaned to %j', (text, clean) => {
  expect(cleanText(text)).toBe(clean)
})

test.each(['\u001b]', '\u001b[', '\u001b', '\u009b3', '\u001bP', '\u001b(', '\r'])(
  'a megabyte of unfinished escapes like %j is cleaned in one pass',
  piece => {
    expect(cleanText(piece.repeat(500_000)).trim().replaceAll('3', '')).toBe('')
  },
)

test('a shortened text has its beginning and its end', () => {
  expect(shorten('short', 10)).toBe('short')
  expect(shorten(`head${'-'.repeat(100)}the tail`, 12)).toBe('head\n…\nthe tail')
})
