import { expect, test } from 'vitest'
import { isUtf8, sortKey, toAscii } from '../../../../shim/import/store/byte-string.ts'

const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

test.each([
  ['plain ASCII', 'a b\n~', 'a b\n~', true],
  ['two bytes', utf8('é\u0080\u07ff'), '???', true],
  ['three bytes', utf8('€\u0800\ud7ff\ue000\uffff'), '?????', true],
  ['four bytes', utf8('🦆\u{10000}\u{10ffff}'), '???', true],
  ['a stray continuation', 'a\x80b', 'a?b', false],
  ['a sequence that is cut short', 'a\xe2\x82b', 'a??b', false],
  ['a sequence that is cut short by another', `\xe2\x82${utf8('é')}`, '???', false],
  ['overlong sequences', '\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf', '?????????', false],
  ['a surrogate', '\xed\xa0\x80', '???', false],
  ['beyond Unicode', '\xf4\x90\x80\x80\xf5\xff', '??????', false],
])('%s: one character for each well-formed sequence and each other byte', (_, bytes, ascii, wellFormed) => {
  expect(toAscii(bytes)).toBe(ascii)
  expect(isUtf8(bytes)).toBe(wellFormed)
})

test('names are sorted by their code points, with escaped bytes between U+D7FF and U+E000', () => {
  const inOrder = [
    'A',
    'a',
    'a-',
    'a\x80',
    utf8('é'),
    utf8('\ud7ff'),
    '\x80',
    '\xc3',
    '\xff',
    utf8('\ue000'),
    utf8('\uffff'),
  ]
  inOrder.push(utf8('\u{10000}'))
  const byKey = (a: string, b: string) => (sortKey(a) < sortKey(b) ? -1 : 1)
  expect([...inOrder].reverse().sort(byKey)).toEqual(inOrder)
})
