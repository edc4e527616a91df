import { expect, test } from 'vitest'
import { cutBytes, cutLines } from '../../../lib/text/cut.ts'

test('cutLines keeps the beginning and the end of a text', () => {
  expect(cutLines('short', 10)).toBe('short')
  expect(cutLines(`head${'-'.repeat(100)}the tail`, 12)).toBe('head\n…\nthe tail')
})

test.each([
  ['short', 'short'],
  ['', ''],
  ['a'.repeat(60), 'a'.repeat(60)],
  ['a'.repeat(30) + 'b'.repeat(31), `${'a'.repeat(18)}\n…\n${'a'.repeat(6)}${'b'.repeat(31)}`],
  ['ä'.repeat(60), `${'ä'.repeat(9)}\n…\n${'ä'.repeat(18)}`],
  ['🙂'.repeat(60), `${'🙂'.repeat(4)}\n…\n${'🙂'.repeat(9)}`],
])('cutBytes cuts %s to 60 bytes, between characters', (text, cut) => {
  expect(cutBytes(text, 60)).toBe(cut)
  expect(Buffer.byteLength(cutBytes(text, 60))).toBeLessThanOrEqual(60)
})

test.each(Array.from({ length: 20 }, (_, shift) => [shift]))(
  'cutBytes breaks no character when the cut moves by %i bytes',
  shift => {
    const cut = cutBytes(`${'a'.repeat(shift)}${'€🙂ä'.repeat(20)}`, 60)
    expect(cut).not.toContain('\ufffd')
    expect(cut).toMatch(/^a*(€🙂ä)*€?🙂?\n…\n🙂?ä?(€🙂ä)*$/u)
  },
)
