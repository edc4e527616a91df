import { expect, test } from 'vitest'
import { cleanText } from '../../../lib/text/text.ts'

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
